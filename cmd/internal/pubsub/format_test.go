package pubsub

import (
	"slices"
	"strings"
	"testing"
	"time"

	"mangrove/mqtt/packet"
)

var sample = Received{
	Topic: "a/b", Payload: []byte("héllo"), QoS: 1, Retain: true, PacketID: 7,
	At: time.Date(2026, 5, 1, 9, 8, 7, 6000, time.UTC),
	Props: (&packet.Properties{ContentType: "text/plain", User: []packet.UserProperty{{Name: "k", Value: "v"}, {Name: "k", Value: "w"}},
		MessageExpiry: 60}).Mark(packet.PropContentType).Mark(packet.PropUser).Mark(packet.PropMessageExpiry),
}

func TestFormat(t *testing.T) {
	for format, want := range map[string]string{
		"":                  "",
		"plain":             "plain",
		"%t %p":             "a/b héllo",
		"%q%r%d%m":          "1107",
		"%l":                "6",
		"%x":                "68c3a96c6c6f",
		"%X":                "68C3A96C6C6F",
		"%b":                "aMOpbGxv",
		"%C|%P|%E|%R|%S":    "text/plain|k:v k:w|60||",
		"%%":                "%",
		`\\\t\n`:            "\\\t\n",
		"%6t|%-6t|%06q":     "   a/b|a/b   |000001",
		"%.2p|%5.3p|":       "hé|  hél|",
		"@Y-@m-@d @H:@M:@S": "2026-05-01 09:08:07",
		"@F @T @s @N @@":    "2026-05-01 09:08:07 1777626487 000006000 @",
		"%I %U":             "2026-05-01T09:08:07+0000 1777626487.000006000",
	} {
		f, err := ParseFormat(format)
		if err != nil {
			t.Errorf("%q: got %v", format, err)
			continue
		}
		if got := string(f.Append(nil, &sample)); got != want {
			t.Errorf("%q: got %q, want %q", format, got, want)
		}
	}
}

func TestFormatJSON(t *testing.T) {
	m := Received{Topic: "t", Payload: []byte(`{"a":1}`), QoS: 2, PacketID: 3, At: sample.At, Props: sample.Props}
	for format, want := range map[string]string{
		"%j": `{"tst":"2026-05-01T09:08:07.000006+0000","topic":"t","qos":2,"retain":0,"payloadlen":7,"mid":3,"properties":{"message-expiry-interval":60,"content-type":"text/plain","user-properties":[{"k":"v"},{"k":"w"}]},"payload":"{\"a\":1}"}`,
		"%J": `{"tst":"2026-05-01T09:08:07.000006+0000","topic":"t","qos":2,"retain":0,"payloadlen":7,"mid":3,"properties":{"message-expiry-interval":60,"content-type":"text/plain","user-properties":[{"k":"v"},{"k":"w"}]},"payload":{"a":1}}`,
	} {
		f, err := ParseFormat(format)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(f.Append(nil, &m)); got != want {
			t.Errorf("%s: got  %s\nwant %s", format, got, want)
		}
	}
}

func TestFormatErrors(t *testing.T) {
	for _, format := range []string{"%", "%y", "@", "@y@!", `\q`, "%10", "%5."} {
		if _, err := ParseFormat(format); err == nil {
			t.Errorf("%q: got no error", format)
		}
	}
}

func FuzzFormat(f *testing.F) {
	f.Add("%-010.3p@F\\n%j")
	f.Fuzz(func(t *testing.T, s string) {
		if format, err := ParseFormat(s); err == nil {
			format.Append(nil, &sample)
		}
	})
}

func TestJoinProperties(t *testing.T) {
	sep := propertySeparator
	for in, want := range map[string][]string{
		"-t a -D publish content-type text/plain -m x":   {"-t", "a", "--property=publish" + sep + "content-type" + sep + "text/plain", "-m", "x"},
		"-D publish user-property k v -q 1":              {"--property=publish" + sep + "user-property" + sep + "k" + sep + "v", "-q", "1"},
		"-D publish":                                     {"--property=publish"},
		"-- -D a b c":                                    {"--", "-D", "a", "b", "c"},
		"--property will will-delay-interval 5 --cert c": {"--property=will" + sep + "will-delay-interval" + sep + "5", "--cert", "c"},
	} {
		if got := JoinProperties(strings.Fields(in)); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
}

func TestPropertiesAreChecked(t *testing.T) {
	all := Properties{}
	for _, words := range []string{"publish content-type text/plain", "publish user-property k v", "will will-delay-interval 5", "connect receive-maximum 10"} {
		if err := all.set(strings.Fields(words)); err != nil {
			t.Errorf("%s: got %v", words, err)
		}
	}
	if p := all["publish"]; !p.Has(packet.PropContentType) || p.ContentType != "text/plain" || len(p.User) != 1 {
		t.Errorf("got publish properties %+v", p)
	}
	if p := all["will"]; p.WillDelay != 5 {
		t.Errorf("got will properties %+v", p)
	}
	for _, words := range []string{"publish", "publish content-type", "shout content-type x", "publish will-delay-interval 5",
		"connect receive-maximum 70000", "publish message-expiry-interval soon", "publish user-property k"} {
		if err := all.set(strings.Fields(words)); err == nil {
			t.Errorf("%s: got no error", words)
		}
	}
}

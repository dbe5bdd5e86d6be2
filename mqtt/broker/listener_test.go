package broker

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseListener(t *testing.T) {
	for text, want := range map[string]ListenerConfig{
		"127.0.0.1:1883":                   {Addr: "127.0.0.1:1883"},
		"unix:///run/m.sock?proxy":         {Addr: "unix:///run/m.sock", Proxy: true},
		"ws://127.0.0.1:80/mqtt?max-qos=0": {Addr: "ws://127.0.0.1:80/mqtt", Limits: Limits{MaxQoS: QoS0Only}},
		"tls://127.0.0.1:1?max-qos=1&retain=off&wildcards=off&shared=off&subscription-ids=off&topic-levels=9&topic-aliases=0": {
			Addr: "tls://127.0.0.1:1", Limits: Limits{MaxQoS: 1, NoRetain: true, NoWildcards: true, NoShared: true,
				NoSubscriptionIDs: true, TopicLevels: 9, TopicAliasMaximum: -1}},
		"127.0.0.1:1?retain=on&packet-size=2000&receive-maximum=7&session-expiry=24h&keep-alive=90s&topic-aliases=5": {
			Addr: "127.0.0.1:1", Limits: Limits{MaxPacket: 2000, ReceiveMaximum: 7, SessionExpiryMax: 24 * time.Hour,
				KeepAliveMax: 90 * time.Second, TopicAliasMaximum: 5}},
		"127.0.0.1:1?use-server=a:1883%20b:1883": {Addr: "127.0.0.1:1", Limits: Limits{Redirect: Redirect{To: "a:1883 b:1883"}}},
		"127.0.0.1:1?moved-to=a":                 {Addr: "127.0.0.1:1", Limits: Limits{Redirect: Redirect{To: "a", Moved: true}}},
	} {
		if got, err := ParseListener(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v, want %+v", text, got, err, want)
		}
	}
}

func TestListenersThatCannotBe(t *testing.T) {
	for text, want := range map[string]string{
		"nowhere":                             "host:port",
		"127.0.0.1:1?prxy":                    "allowed are proxy",
		"127.0.0.1:1?proxy=yes":               "no value",
		"127.0.0.1:1?proxy&proxy":             "twice",
		"127.0.0.1:1?max-qos=3":               "0 to 2",
		"127.0.0.1:1?retain=no":               "on or off",
		"127.0.0.1:1?topic-levels=0":          "1 to",
		"127.0.0.1:1?packet-size=1":           "16 to",
		"127.0.0.1:1?keep-alive=1ms":          "1s or more",
		"127.0.0.1:1?keep-alive=100h":         "at most",
		"127.0.0.1:1?moved-to=":               "host",
		"127.0.0.1:1?moved-to=a&use-server=b": "exclude",
		"127.0.0.1:1?use-server=%":            "escape",
	} {
		if _, err := ParseListener(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want it to say %q", text, err, want)
		}
	}
}

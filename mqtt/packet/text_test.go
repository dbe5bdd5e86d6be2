package packet

import "testing"

// textRefusals are strings that are not UTF-8 Encoded Strings, as topics.
func textRefusals() (all []refusal) {
	for why, s := range map[string]string{
		"surrogate U+D800":  "\xED\xA0\x80",
		"surrogate U+DFFF":  "\xED\xBF\xBF",
		"overlong slash":    "\xC0\xAF",
		"above U+10FFFF":    "\xF4\x90\x80\x80",
		"lone continuation": "a\x80",
		"cut off":           "\xE5\xAD",
		"five bytes":        "\xF8\x88\x80\x80\x80",
	} {
		for _, v := range []Version{V311, V5} {
			all = append(all, refusal{"[MQTT-1.5.4-1] [MQTT311-1.5.3-1]", why, v, publishTopic(s, v), MalformedPacket})
		}
	}
	return append(all,
		refusal{"[MQTT-1.5.4-2] [MQTT311-1.5.3-2] [MQTT-4.7.3-2]", "U+0000", V311, publishTopic("a\x00b", V311), MalformedPacket},
		refusal{"[MQTT-1.5.4-2]", "U+0000", V5, publishTopic("\x00", V5), MalformedPacket})
}

func publishTopic(topic string, v Version) []byte {
	if v == V5 {
		return frame(0x30, topic, 0)
	}
	return frame(0x30, topic)
}

func TestText(t *testing.T) { checkRefusals(t, textRefusals()) }

// What is only advised against, and the byte order mark, passes unchanged. [MQTT-1.5.4-3] [MQTT311-1.5.3-3]
func TestTextThatPasses(t *testing.T) {
	for _, s := range []string{"\uFEFFa", "\uFFFF", "a\x01b", "😀", " ", "/", "\U0010FFFF"} {
		p, err := Read(publishTopic(s, V5), V5)
		if err != nil || string(p.(*Publish).Topic) != s {
			t.Errorf("%q: got %v, error %v", s, p, err)
		}
	}
}

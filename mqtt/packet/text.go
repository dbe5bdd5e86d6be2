package packet

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// text reads a UTF-8 Encoded String (section 1.5.4) without copying it. A byte order mark is text
// like any other and stays. [MQTT-1.5.4-3] [MQTT311-1.5.3-3]
func (r *reader) text(what string) []byte {
	b := r.binary(what)
	switch {
	case !utf8.Valid(b): // surrogates and overlong forms included [MQTT-1.5.4-1] [MQTT311-1.5.3-1]
		r.malformed("MQTT-1.5.4-1", "%s is not well-formed UTF-8", what)
		return nil
	case bytes.IndexByte(b, 0) >= 0: // [MQTT-1.5.4-2] [MQTT311-1.5.3-2]
		r.malformed("MQTT-1.5.4-2", "%s contains U+0000", what)
		return nil
	}
	return b
}

// topicName reads the name of a topic to publish to, which has no wildcards and is not empty.
func (r *reader) topicName(what, rule string) []byte {
	b := r.topic(what, rule)
	if len(b) == 0 { // [MQTT-4.7.3-1] [MQTT311-4.7.3-1]
		r.malformed("MQTT-4.7.3-1", "%s is empty", what)
	}
	return b
}

// topic is topicName where the name may be empty.
func (r *reader) topic(what, rule string) []byte {
	b := r.text(what)
	if bytes.IndexByte(b, '+') >= 0 || bytes.IndexByte(b, '#') >= 0 {
		r.malformed(rule, "%s %q contains a wildcard", what, b)
		return nil
	}
	return b
}

// topicFilter reads a filter to subscribe to. Its grammar is package topic's affair.
func (r *reader) topicFilter() string {
	b := r.text("topic filter") // [MQTT-3.8.3-1] [MQTT-3.10.3-1] [MQTT311-3.8.3-1] [MQTT311-3.10.3-1]
	if len(b) == 0 {            // [MQTT-4.7.3-1] [MQTT311-4.7.3-1]
		r.malformed("MQTT-4.7.3-1", "topic filter is empty")
	}
	return string(b)
}

// countTexts tells how many texts, each with so many bytes after it, the rest of the body holds: so
// that a list is allocated once, and never greater than its bytes allow.
func (r *reader) countTexts(after int) (n int) {
	for b := r.b; len(b) >= 2; n++ {
		size := 2 + int(binary.BigEndian.Uint16(b)) + after
		if size > len(b) {
			break
		}
		b = b[size:]
	}
	return n
}

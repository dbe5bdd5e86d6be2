package pubsub

import (
	"encoding/json"
	"fmt"

	"mangrove/mqtt/packet"
)

// jsonMessage has mosquitto_sub's names.
type jsonMessage struct {
	Time       string          `json:"tst"`
	Topic      string          `json:"topic"`
	QoS        byte            `json:"qos"`
	Retain     int             `json:"retain"`
	Length     int             `json:"payloadlen"`
	PacketID   uint16          `json:"mid,omitempty"`
	Properties *jsonProperties `json:"properties,omitempty"`
	Payload    json.RawMessage `json:"payload"`
}

type jsonProperties struct {
	PayloadFormat   *byte               `json:"payload-format-indicator,omitempty"`
	MessageExpiry   *uint32             `json:"message-expiry-interval,omitempty"`
	ContentType     string              `json:"content-type,omitempty"`
	ResponseTopic   string              `json:"response-topic,omitempty"`
	CorrelationData string              `json:"correlation-data,omitempty"`
	SubscriptionIDs []uint32            `json:"subscription-identifier,omitempty"`
	User            []map[string]string `json:"user-properties,omitempty"` // in order; names may repeat
}

func appendJSON(dst []byte, m *Received, payload json.RawMessage) []byte {
	out, err := json.Marshal(&jsonMessage{
		Time: m.At.Format("2006-01-02T15:04:05.000000-0700"), Topic: m.Topic, QoS: m.QoS, Retain: int(bit(m.Retain) - '0'),
		Length: len(m.Payload), PacketID: m.PacketID, Properties: newJSONProperties(m.Props), Payload: payload,
	})
	if err != nil {
		panic(fmt.Sprintf("BUG: encode message: %v", err))
	}
	return append(dst, out...)
}

func newJSONProperties(p *packet.Properties) *jsonProperties {
	if p == nil || p.Set == 0 {
		return nil
	}
	j := &jsonProperties{
		ContentType: p.ContentType, ResponseTopic: p.ResponseTopic, CorrelationData: string(p.CorrelationData),
		SubscriptionIDs: p.SubscriptionIDs,
	}
	if p.Has(packet.PropPayloadFormat) {
		j.PayloadFormat = &p.PayloadFormat
	}
	if p.Has(packet.PropMessageExpiry) {
		j.MessageExpiry = &p.MessageExpiry
	}
	for _, u := range p.User {
		j.User = append(j.User, map[string]string{u.Name: u.Value})
	}
	return j
}

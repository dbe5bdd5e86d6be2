package firmwaresim

import (
	"encoding/json"
	"fmt"
	"time"
)

// Header is what every payload of the fleet carries, beside its readings.
type Header struct {
	Device string    `json:"device"`
	Seq    uint64    `json:"seq"` // counts from 1 for each device, topic and QoS
	QoS    byte      `json:"qos"` // as published
	Time   time.Time `json:"time"`
}

func (h *Header) head() *Header { return h }

// body is a payload: a struct with a Header in it.
type body interface{ head() *Header }

// statusBody is the birth message, and without Seq the will.
type statusBody struct {
	Header
	Status   string `json:"status"`
	Model    string `json:"model"`
	Firmware string `json:"firmware"`
	Boots    int    `json:"boots"`
}

// commandBody asks a device for something. Which commands there are depends on the model.
type commandBody struct {
	Header
	Command string  `json:"command"`
	Value   float64 `json:"value,omitempty"`
}

// replyBody answers one command.
type replyBody struct {
	Header
	Command    string  `json:"command"`
	CommandSeq uint64  `json:"command_seq"`
	OK         bool    `json:"ok"`
	Result     float64 `json:"result"`
}

// Outgoing is one message a device wants to publish.
type Outgoing struct {
	Kind    Kind
	Seq     uint64
	Topic   string
	Payload []byte
	QoS     byte
	Retain  bool
}

// encode panics only for a body that JSON cannot hold, such as a reading that is not a number.
func encode(b body) []byte {
	payload, err := json.Marshal(b)
	if err != nil {
		panic(fmt.Sprintf("BUG: encode payload: %v", err))
	}
	return payload
}

// topicPrefix starts all topics of a device: sim/<run>/<site>/<model>/<device>/.
func topicPrefix(run, site, model, device string) string {
	return "sim/" + run + "/" + site + "/" + model + "/" + device + "/"
}

// siteFilters match what devices of a site publish, but not the commands that go to them.
func siteFilters(run, site string) []string {
	base := "sim/" + run + "/" + site + "/+/+/"
	return []string{base + Telemetry.String(), base + Status.String(), base + Reply.String()}
}

package packet

type Connect struct {
	Version    Version // found in the packet; Decode ignores its v argument
	CleanStart bool    // Clean Session before 5.0
	KeepAlive  uint16  // seconds, 0 = off
	ClientID   string
	Username   string
	Password   []byte
	HasUser    bool
	HasPass    bool
	Will       *Will // nil = none
	Props      *Properties
}

type Will struct {
	Topic   string
	Payload []byte
	QoS     byte
	Retain  bool
	Props   *Properties // will properties, with WillDelay
}

type Connack struct {
	SessionPresent bool
	Reason         ReasonCode // 5.0 code; Append derives the 3.x return code, Decode maps it back
	Props          *Properties
}

// Publish. Topic and Payload alias the buffer given to Decode.
type Publish struct {
	Dup      bool
	QoS      byte
	Retain   bool
	Topic    []byte
	PacketID uint16 // 0 at QoS 0
	Props    *Properties
	Payload  []byte
}

// Ack is PUBACK, PUBREC, PUBREL and PUBCOMP: one shape, four types.
type Ack struct {
	Kind     Type
	PacketID uint16
	Reason   ReasonCode // 3.x: always Success
	Props    *Properties
}

type Subscribe struct {
	PacketID uint16
	Props    *Properties // SubscriptionIDs holds at most one
	Filters  []SubscribeFilter
}

type SubscribeFilter struct {
	Filter            string
	QoS               byte
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    byte // 0 send, 1 send if new, 2 do not send
}

type Suback struct {
	PacketID uint16
	Props    *Properties
	Reasons  []ReasonCode // one per filter; 3.x: failures become 0x80
}

type Unsubscribe struct {
	PacketID uint16
	Props    *Properties
	Filters  []string
}

type Unsuback struct {
	PacketID uint16
	Props    *Properties
	Reasons  []ReasonCode // one per filter; not sent before 5.0
}

type Pingreq struct{}

type Pingresp struct{}

type Disconnect struct {
	Reason ReasonCode
	Props  *Properties
}

type Auth struct {
	Reason ReasonCode
	Props  *Properties
}

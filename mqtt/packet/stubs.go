package packet

// The bodies below are placeholders until each packet's own file is written.

func (c ReasonCode) String() string { panic("stub") }
func (t Type) String() string       { panic("stub") }

// Frame looks for one whole packet at the start of b. It returns the packet's total size in
// bytes and its header size, or total 0 when more bytes are needed (header is then 0 too unless
// the size is already known: want, the total, is returned so that a reader can size its buffer).
// A malformed remaining length, or a total above max (0 = no bound), is an *Error.
func Frame(b []byte, max uint32) (total, header, want int, err error) { panic("stub") }

// New returns an empty packet of type t to decode into, or nil for the reserved type 0.
func New(t Type) Packet { panic("stub") }

// Read decodes one whole packet as Frame found it.
func Read(frame []byte, v Version) (Packet, error) { panic("stub") }

// Append adds the property length and every property present. Safe on nil (adds length 0).
func (p *Properties) Append(dst []byte) []byte { panic("stub") }

// DecodeProperties reads a property length and the properties after it. allowed is the set of
// bits (1<<Property) the packet may carry. It returns nil properties when there are none, and the
// bytes that follow.
func DecodeProperties(b []byte, allowed uint64) (p *Properties, rest []byte, err error) {
	panic("stub")
}

func (*Connect) Type() Type                              { return CONNECT }
func (*Connect) Decode(byte, []byte, Version) error      { panic("stub") }
func (*Connect) Append(dst []byte, v Version) []byte     { panic("stub") }
func (*Connack) Type() Type                              { return CONNACK }
func (*Connack) Decode(byte, []byte, Version) error      { panic("stub") }
func (*Connack) Append(dst []byte, v Version) []byte     { panic("stub") }
func (*Publish) Type() Type                              { return PUBLISH }
func (*Publish) Decode(byte, []byte, Version) error      { panic("stub") }
func (*Publish) Append(dst []byte, v Version) []byte     { panic("stub") }
func (a *Ack) Type() Type                                { return a.Kind }
func (*Ack) Decode(byte, []byte, Version) error          { panic("stub") }
func (*Ack) Append(dst []byte, v Version) []byte         { panic("stub") }
func (*Subscribe) Type() Type                            { return SUBSCRIBE }
func (*Subscribe) Decode(byte, []byte, Version) error    { panic("stub") }
func (*Subscribe) Append(dst []byte, v Version) []byte   { panic("stub") }
func (*Suback) Type() Type                               { return SUBACK }
func (*Suback) Decode(byte, []byte, Version) error       { panic("stub") }
func (*Suback) Append(dst []byte, v Version) []byte      { panic("stub") }
func (*Unsubscribe) Type() Type                          { return UNSUBSCRIBE }
func (*Unsubscribe) Decode(byte, []byte, Version) error  { panic("stub") }
func (*Unsubscribe) Append(dst []byte, v Version) []byte { panic("stub") }
func (*Unsuback) Type() Type                             { return UNSUBACK }
func (*Unsuback) Decode(byte, []byte, Version) error     { panic("stub") }
func (*Unsuback) Append(dst []byte, v Version) []byte    { panic("stub") }
func (*Pingreq) Type() Type                              { return PINGREQ }
func (*Pingreq) Decode(byte, []byte, Version) error      { panic("stub") }
func (*Pingreq) Append(dst []byte, v Version) []byte     { panic("stub") }
func (*Pingresp) Type() Type                             { return PINGRESP }
func (*Pingresp) Decode(byte, []byte, Version) error     { panic("stub") }
func (*Pingresp) Append(dst []byte, v Version) []byte    { panic("stub") }
func (*Disconnect) Type() Type                           { return DISCONNECT }
func (*Disconnect) Decode(byte, []byte, Version) error   { panic("stub") }
func (*Disconnect) Append(dst []byte, v Version) []byte  { panic("stub") }
func (*Auth) Type() Type                                 { return AUTH }
func (*Auth) Decode(byte, []byte, Version) error         { panic("stub") }
func (*Auth) Append(dst []byte, v Version) []byte        { panic("stub") }

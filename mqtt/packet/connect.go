package packet

// Connect opens a connection.
//
//	protocol name │ level │ flags │ keep alive │ [properties] │ client id │ [will] │ [user] │ [password]
type Connect struct {
	Version    Version // found in the packet; Decode ignores its v argument
	Bridge     bool    // a Mosquitto bridge that speaks 3.1 or 3.1.1 and says so: its level has bit 7 set
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

// Will is the message a server publishes when the client goes without DISCONNECT.
type Will struct {
	Topic   string
	Payload []byte
	QoS     byte
	Retain  bool
	Props   *Properties // will properties, with WillDelay
}

// bridgeLevel is set in the protocol level of a bridge: it wants each message back as it was published, and none that is its own.
// Mosquitto's, beside the standard.
const bridgeLevel Version = 0x80

// Bits of the connect flags.
const (
	connectReserved   = 0x01
	connectCleanStart = 0x02
	connectWill       = 0x04
	connectWillQoS    = 0x18
	connectWillRetain = 0x20
	connectPassword   = 0x40
	connectUser       = 0x80
)

func (*Connect) Type() Type { return CONNECT }

// Decode is Packet's. The fields come in the order of the drawing [MQTT-3.1.3-1] [MQTT311-3.1.3-1].
// After UnsupportedProtocolVersion, Version holds the level the client asked
// for, or 0 when it did not speak MQTT at all; Version.Answer tells how to answer.
func (c *Connect) Decode(flags byte, body []byte, _ Version) error {
	*c = Connect{}
	r := reader{b: body}
	c.readProtocol(&r)
	r.flags(CONNECT, flags, 0, c.Version, "MQTT-2.1.3-1")
	has := c.readFlags(&r)
	c.KeepAlive = r.uint16("keep alive")
	if c.Version == V5 {
		c.Props = r.properties(AllowedConnect)
	}
	c.ClientID = string(r.text("client identifier")) // [MQTT-3.1.3-3] [MQTT-3.1.3-4] [MQTT311-3.1.3-3] [MQTT311-3.1.3-4]
	if c.Will != nil {
		c.Will.read(&r, c.Version)
	}
	c.readCredentials(&r, has)
	c.checkClientID(&r)
	return r.end(CONNECT)
}

func (c *Connect) readProtocol(r *reader) {
	name := r.text("protocol name")
	if r.err != nil {
		return
	}
	mqtt, old := string(name) == "MQTT", string(name) == "MQIsdp"
	if !mqtt && !old { // [MQTT-3.1.2-1] [MQTT311-3.1.2-1]
		r.fail(UnsupportedProtocolVersion, "MQTT-3.1.2-1", "protocol name is %.16q, want MQTT", name)
		return
	}
	c.Version = Version(r.uint8("protocol level"))
	if base := c.Version &^ bridgeLevel; base != c.Version && (mqtt && base == V311 || old && base == V31) {
		c.Version, c.Bridge = base, true
	}
	if r.err == nil && !(mqtt && (c.Version == V311 || c.Version == V5) || old && c.Version == V31) {
		// [MQTT-3.1.2-2] [MQTT311-3.1.2-2]
		r.fail(UnsupportedProtocolVersion, "MQTT-3.1.2-2", "%s level %d, want MQTT 4 or 5 or MQIsdp 3", name, c.Version)
	}
}

// readFlags checks the connect flags against each other, and makes c.Will when there is one.
func (c *Connect) readFlags(r *reader) byte {
	has := r.uint8("connect flags")
	if r.err != nil {
		return 0
	}
	if has&connectReserved != 0 && c.Version != V31 { // [MQTT-3.1.2-3] [MQTT311-3.1.2-3]
		r.malformed("MQTT-3.1.2-3", "reserved connect flag is 1")
	}
	if has&connectPassword != 0 && has&connectUser == 0 && c.Version != V5 { // [MQTT311-3.1.2-22]
		r.malformed("MQTT311-3.1.2-22", "password without user name")
	}
	c.CleanStart = has&connectCleanStart != 0
	qos, retain := has&connectWillQoS>>3, has&connectWillRetain != 0
	switch {
	case has&connectWill != 0:
		c.Will = &Will{QoS: qos, Retain: retain}
		if qos > 2 { // [MQTT-3.1.2-12] [MQTT311-3.1.2-14]
			r.malformed("MQTT-3.1.2-12", "will QoS is 3")
		}
	case c.Version == V31: // there both bits mean nothing without a will
	case qos != 0: // [MQTT-3.1.2-11] [MQTT311-3.1.2-11] [MQTT311-3.1.2-13]
		r.malformed("MQTT-3.1.2-11", "will QoS %d without will", qos)
	case retain: // [MQTT-3.1.2-13] [MQTT311-3.1.2-15]
		r.malformed("MQTT-3.1.2-13", "will retain without will")
	}
	return has
}

func (w *Will) read(r *reader, v Version) { // [MQTT-3.1.2-9] [MQTT311-3.1.2-9]
	if v == V5 {
		w.Props = r.properties(AllowedWill)
	}
	w.Topic = string(r.topicName("will topic", "MQTT-3.1.3-11")) // [MQTT-3.1.3-11] [MQTT311-3.1.3-10]
	w.Payload = r.binary("will payload")
}

// readCredentials reads user name and password. A 3.1 client may announce either and leave it out:
// there the remaining length outranks the flags.
func (c *Connect) readCredentials(r *reader, has byte) {
	missing := func() bool { return c.Version == V31 && r.err == nil && len(r.b) == 0 }
	if has&connectUser != 0 && !missing() { // [MQTT-3.1.2-16] [MQTT-3.1.2-17] [MQTT311-3.1.2-18] [MQTT311-3.1.2-19]
		c.HasUser, c.Username = true, string(r.text("user name")) // [MQTT-3.1.3-12] [MQTT311-3.1.3-11]
	}
	if has&connectPassword != 0 && !missing() { // [MQTT-3.1.2-18] [MQTT-3.1.2-19] [MQTT311-3.1.2-20] [MQTT311-3.1.2-21]
		c.HasPass, c.Password = true, r.binary("password")
	}
}

// checkClientID refuses what only 5.0 and clean 3.1.1 sessions may leave to the server.
func (c *Connect) checkClientID(r *reader) {
	if r.err != nil || c.ClientID != "" || c.Version == V5 {
		return
	}
	if c.Version == V31 || !c.CleanStart { // [MQTT311-3.1.3-7] [MQTT311-3.1.3-8]
		r.fail(ClientIdentifierNotValid, "MQTT311-3.1.3-8", "client identifier is empty")
	}
}

// Append is Packet's. c.Version decides the form; v does when that is 0.
func (c *Connect) Append(dst []byte, v Version) []byte {
	if c.Version != 0 {
		v = c.Version
	}
	dst, at := begin(dst, CONNECT, 0)
	if v == V31 {
		dst = appendText(dst, "MQIsdp")
	} else {
		dst = appendText(dst, "MQTT")
	}
	level := v
	if c.Bridge {
		level |= bridgeLevel
	}
	dst = append(dst, byte(level), c.flags(v))
	dst = appendUint16(dst, c.KeepAlive)
	if v == V5 {
		dst = c.Props.Append(dst)
	}
	dst = appendText(dst, c.ClientID)
	if c.Will != nil {
		dst = c.Will.append(dst, v)
	}
	if c.HasUser {
		dst = appendText(dst, c.Username)
	}
	if c.hasPass(v) {
		dst = appendText(dst, c.Password)
	}
	return finish(dst, at, 0)
}

// hasPass leaves a password out where it needs a user name. [MQTT311-3.1.2-22]
func (c *Connect) hasPass(v Version) bool { return c.HasPass && (c.HasUser || v == V5) }

func (c *Connect) flags(v Version) (has byte) {
	if c.CleanStart {
		has |= connectCleanStart
	}
	if c.Will != nil {
		has |= connectWill | c.Will.QoS<<3
		if c.Will.Retain {
			has |= connectWillRetain
		}
	}
	if c.HasUser {
		has |= connectUser
	}
	if c.hasPass(v) {
		has |= connectPassword
	}
	return has
}

func (w *Will) append(dst []byte, v Version) []byte {
	if v == V5 {
		dst = w.Props.Append(dst)
	}
	return appendText(appendText(dst, w.Topic), w.Payload)
}

// Answer is the version to answer a CONNECT of version v in: v itself when it is spoken here, else
// 5.0 for later versions and 3.1.1 for the rest.
func (v Version) Answer() Version {
	switch {
	case v == V31 || v == V311 || v == V5:
		return v
	case v > V5 && v < bridgeLevel: // from there on it is a bridge that speaks 3.1 or 3.1.1
		return V5
	}
	return V311
}

package packet

// Property is a property identifier of MQTT 5.0, section 2.2.2.2.
type Property byte

const (
	PropPayloadFormat          Property = 1
	PropMessageExpiry          Property = 2
	PropContentType            Property = 3
	PropResponseTopic          Property = 8
	PropCorrelationData        Property = 9
	PropSubscriptionID         Property = 11
	PropSessionExpiry          Property = 17
	PropAssignedClientID       Property = 18
	PropServerKeepAlive        Property = 19
	PropAuthMethod             Property = 21
	PropAuthData               Property = 22
	PropRequestProblemInfo     Property = 23
	PropWillDelay              Property = 24
	PropRequestResponseInfo    Property = 25
	PropResponseInfo           Property = 26
	PropServerReference        Property = 28
	PropReasonString           Property = 31
	PropReceiveMaximum         Property = 33
	PropTopicAliasMaximum      Property = 34
	PropTopicAlias             Property = 35
	PropMaximumQoS             Property = 36
	PropRetainAvailable        Property = 37
	PropUser                   Property = 38
	PropMaximumPacketSize      Property = 39
	PropWildcardAvailable      Property = 40
	PropSubscriptionIDsAllowed Property = 41
	PropSharedAvailable        Property = 42
)

// Properties is every property a packet can carry. A field counts only when its bit in Set is
// on; use Mark to switch it on. A nil *Properties is an empty one.
type Properties struct {
	Set uint64 // bit 1<<Property for each one present

	PayloadFormat          byte
	MessageExpiry          uint32 // seconds
	ContentType            string
	ResponseTopic          string
	CorrelationData        []byte
	SubscriptionIDs        []uint32
	SessionExpiry          uint32 // seconds, 0xFFFFFFFF = never
	AssignedClientID       string
	ServerKeepAlive        uint16 // seconds
	AuthMethod             string
	AuthData               []byte
	RequestProblemInfo     byte
	WillDelay              uint32 // seconds
	RequestResponseInfo    byte
	ResponseInfo           string
	ServerReference        string
	ReasonString           string
	ReceiveMaximum         uint16
	TopicAliasMaximum      uint16
	TopicAlias             uint16
	MaximumQoS             byte
	RetainAvailable        byte
	User                   []UserProperty // in the order they came
	MaximumPacketSize      uint32
	WildcardAvailable      byte
	SubscriptionIDsAllowed byte
	SharedAvailable        byte
}

// UserProperty is one name-value pair; names may repeat.
type UserProperty struct{ Name, Value string }

// Has reports whether id is present. Safe on nil.
func (p *Properties) Has(id Property) bool { return p != nil && p.Set&(1<<id) != 0 }

// Mark makes id present and returns p, for chaining after its field was set.
func (p *Properties) Mark(id Property) *Properties {
	p.Set |= 1 << id
	return p
}

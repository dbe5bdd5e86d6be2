package packet

import "fmt"

// field points to the field that holds property id, or is nil for an identifier that does not exist.
func (p *Properties) field(id Property) any {
	switch id {
	case PropPayloadFormat:
		return &p.PayloadFormat
	case PropMessageExpiry:
		return &p.MessageExpiry
	case PropContentType:
		return &p.ContentType
	case PropResponseTopic:
		return &p.ResponseTopic
	case PropCorrelationData:
		return &p.CorrelationData
	case PropSubscriptionID:
		return &p.SubscriptionIDs
	case PropSessionExpiry:
		return &p.SessionExpiry
	case PropAssignedClientID:
		return &p.AssignedClientID
	case PropServerKeepAlive:
		return &p.ServerKeepAlive
	case PropAuthMethod:
		return &p.AuthMethod
	case PropAuthData:
		return &p.AuthData
	case PropRequestProblemInfo:
		return &p.RequestProblemInfo
	case PropWillDelay:
		return &p.WillDelay
	case PropRequestResponseInfo:
		return &p.RequestResponseInfo
	case PropResponseInfo:
		return &p.ResponseInfo
	case PropServerReference:
		return &p.ServerReference
	case PropReasonString:
		return &p.ReasonString
	case PropReceiveMaximum:
		return &p.ReceiveMaximum
	case PropTopicAliasMaximum:
		return &p.TopicAliasMaximum
	case PropTopicAlias:
		return &p.TopicAlias
	case PropMaximumQoS:
		return &p.MaximumQoS
	case PropRetainAvailable:
		return &p.RetainAvailable
	case PropUser:
		return &p.User
	case PropMaximumPacketSize:
		return &p.MaximumPacketSize
	case PropWildcardAvailable:
		return &p.WildcardAvailable
	case PropSubscriptionIDsAllowed:
		return &p.SubscriptionIDsAllowed
	case PropSharedAvailable:
		return &p.SharedAvailable
	}
	return nil
}

// String is the standard's name of the property.
func (id Property) String() string {
	switch id {
	case PropPayloadFormat:
		return "Payload Format Indicator"
	case PropMessageExpiry:
		return "Message Expiry Interval"
	case PropContentType:
		return "Content Type"
	case PropResponseTopic:
		return "Response Topic"
	case PropCorrelationData:
		return "Correlation Data"
	case PropSubscriptionID:
		return "Subscription Identifier"
	case PropSessionExpiry:
		return "Session Expiry Interval"
	case PropAssignedClientID:
		return "Assigned Client Identifier"
	case PropServerKeepAlive:
		return "Server Keep Alive"
	case PropAuthMethod:
		return "Authentication Method"
	case PropAuthData:
		return "Authentication Data"
	case PropRequestProblemInfo:
		return "Request Problem Information"
	case PropWillDelay:
		return "Will Delay Interval"
	case PropRequestResponseInfo:
		return "Request Response Information"
	case PropResponseInfo:
		return "Response Information"
	case PropServerReference:
		return "Server Reference"
	case PropReasonString:
		return "Reason String"
	case PropReceiveMaximum:
		return "Receive Maximum"
	case PropTopicAliasMaximum:
		return "Topic Alias Maximum"
	case PropTopicAlias:
		return "Topic Alias"
	case PropMaximumQoS:
		return "Maximum QoS"
	case PropRetainAvailable:
		return "Retain Available"
	case PropUser:
		return "User Property"
	case PropMaximumPacketSize:
		return "Maximum Packet Size"
	case PropWildcardAvailable:
		return "Wildcard Subscription Available"
	case PropSubscriptionIDsAllowed:
		return "Subscription Identifier Available"
	case PropSharedAvailable:
		return "Shared Subscription Available"
	}
	return fmt.Sprintf("property %d", byte(id))
}

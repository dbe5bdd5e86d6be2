package packet

// Which properties a packet may carry (MQTT 5.0, table 2-4), as sets for DecodeProperties.
const (
	AllowedConnect = 1<<PropSessionExpiry | 1<<PropAuthMethod | 1<<PropAuthData | 1<<PropRequestProblemInfo |
		1<<PropRequestResponseInfo | 1<<PropReceiveMaximum | 1<<PropTopicAliasMaximum | 1<<PropUser |
		1<<PropMaximumPacketSize
	AllowedWill = 1<<PropPayloadFormat | 1<<PropMessageExpiry | 1<<PropContentType | 1<<PropResponseTopic |
		1<<PropCorrelationData | 1<<PropWillDelay | 1<<PropUser
	AllowedConnack = 1<<PropSessionExpiry | 1<<PropAssignedClientID | 1<<PropServerKeepAlive | 1<<PropAuthMethod |
		1<<PropAuthData | 1<<PropResponseInfo | 1<<PropServerReference | 1<<PropReasonString |
		1<<PropReceiveMaximum | 1<<PropTopicAliasMaximum | 1<<PropMaximumQoS | 1<<PropRetainAvailable |
		1<<PropUser | 1<<PropMaximumPacketSize | 1<<PropWildcardAvailable | 1<<PropSubscriptionIDsAllowed |
		1<<PropSharedAvailable
	AllowedPublish = 1<<PropPayloadFormat | 1<<PropMessageExpiry | 1<<PropContentType | 1<<PropResponseTopic |
		1<<PropCorrelationData | 1<<PropSubscriptionID | 1<<PropTopicAlias | 1<<PropUser | ManySubscriptionIDs
	AllowedAck         = 1<<PropReasonString | 1<<PropUser // also SUBACK and UNSUBACK
	AllowedSubscribe   = 1<<PropSubscriptionID | 1<<PropUser
	AllowedUnsubscribe = 1 << PropUser
	AllowedDisconnect  = 1<<PropSessionExpiry | 1<<PropServerReference | 1<<PropReasonString | 1<<PropUser
	AllowedAuth        = 1<<PropAuthMethod | 1<<PropAuthData | 1<<PropReasonString | 1<<PropUser

	// ManySubscriptionIDs in a set says that the Subscription Identifier may come several times.
	ManySubscriptionIDs = 1 << 63
)

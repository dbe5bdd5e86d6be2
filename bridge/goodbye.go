package bridge

import (
	"mangrove/bridge/frame"
	"mangrove/mqtt/packet"
)

// farewell is how links end when the node stops. Neighbours come back soon: it may be a restart.
func (b *Bridge) farewell() *frame.Goaway {
	return &frame.Goaway{Code: frame.GoawayShutdown, Retry: b.cfg.Backoff.Min, Text: errClosing.Error()}
}

// reasonOf is what a goodbye is called in DISCONNECT.
func reasonOf(code frame.GoawayCode) packet.ReasonCode {
	switch code {
	case frame.GoawayShutdown:
		return packet.ServerShuttingDown
	case frame.GoawayRefused:
		return packet.QuotaExceeded
	case frame.GoawayNameInUse, frame.GoawayWait:
		return packet.ClientIdentifierNotValid
	case frame.GoawayReplaced:
		return packet.SessionTakenOver
	}
	return packet.ProtocolError
}

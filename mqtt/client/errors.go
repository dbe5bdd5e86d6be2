package client

import (
	"errors"
	"fmt"

	"mangrove/mqtt/packet"
)

var (
	// ErrClosed: the connection was ended from this side, by Disconnect, Close or Abort.
	ErrClosed = errors.New("client is closed")
	// ErrPingTimeout: the server did not answer in time; the connection is taken for dead.
	ErrPingTimeout = errors.New("server does not answer")
	// ErrWindowFull: TryPublish would have to wait.
	ErrWindowFull = errors.New("too many messages are under way")
	// ErrTooLarge: the packet is above the server's Maximum Packet Size [MQTT-3.2.2-15]. It was not sent.
	ErrTooLarge = errors.New("packet is larger than the server takes")
	// ErrUnsupported: the server said in CONNACK that it cannot do this. Nothing was sent.
	ErrUnsupported = errors.New("not supported by the server")
	// ErrStateInUse: the State belongs to a Client that is not Done.
	ErrStateInUse = errors.New("state is in use by another client")
	// ErrBusy: more than 1,024 SUBSCRIBE and UNSUBSCRIBE packets wait for their answers.
	ErrBusy = errors.New("too many requests are unanswered")
	// ErrSessionLost: the State was dropped.
	ErrSessionLost = errors.New("session state was dropped")
)

// Error is a refusal that the server sent.
type Error struct {
	Packet packet.Type // CONNACK, PUBACK, PUBREC, PUBCOMP or DISCONNECT
	Reason packet.ReasonCode
	Props  *packet.Properties // with reason string and server reference; nil = none
}

func (e *Error) Error() string {
	if e.Props.Has(packet.PropReasonString) {
		return fmt.Sprintf("server sent %v: %v: %s", e.Packet, e.Reason, e.Props.ReasonString)
	}
	return fmt.Sprintf("server sent %v: %v", e.Packet, e.Reason)
}

// refusal is what a reason code means for the one who waits: nil, or an *Error.
func refusal(kind packet.Type, reason packet.ReasonCode, props *packet.Properties) error {
	if reason < 0x80 {
		return nil
	}
	return &Error{Packet: kind, Reason: reason, Props: props}
}

func protocolError(format string, args ...any) error {
	return &packet.Error{Reason: packet.ProtocolError, Detail: fmt.Sprintf(format, args...)}
}

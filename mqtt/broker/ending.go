package broker

import (
	"errors"
	"fmt"
	"io"

	"mangrove/mqtt/packet"
)

// ending is why a connection ends.
type ending struct {
	why    string            // for the counter and the log: one of a fixed set
	reason packet.ReasonCode // what a 5.0 client is told in DISCONNECT; 0 = nothing
	detail string
	// reference is another server to go to, for DISCONNECT; "" = none.
	reference string
	normal    bool // the client said goodbye
	linger    bool // let the client read the last packet before the connection goes
}

// errBye is a DISCONNECT from the client.
var errBye = errors.New("client disconnected")

// errClosing means that another goroutine has begun to close the connection.
var errClosing = errors.New("connection is closing")

// endingOf turns what the reader ended with into why the connection ends; every fault of a client ends it.
// [MQTT-4.13.1-1] [MQTT311-4.8.0-1]
func endingOf(err error) ending {
	if err == errBye { // how most end
		return ending{why: "client-disconnect", normal: true}
	}
	var end *endError
	var fault *packet.Error
	switch {
	case errors.As(err, &end):
		return end.ending
	case errors.As(err, &fault):
		return ending{why: reasonLabel(fault.Reason), reason: fault.Reason, detail: fault.Error(), linger: true}
	case errors.Is(err, io.EOF):
		return ending{why: "connection-lost", detail: "end of stream"}
	}
	return ending{why: "connection-lost", detail: err.Error()}
}

// endError carries an ending through the handlers' error results.
type endError struct{ ending }

func (e *endError) Error() string { return fmt.Sprintf("%s: %s", e.why, e.detail) }

// reasonLabel names a reason code in the metric of closed connections.
func reasonLabel(r packet.ReasonCode) string {
	if label, ok := reasonLabels[r]; ok {
		return label
	}
	return "other"
}

var reasonLabels = map[packet.ReasonCode]string{
	packet.MalformedPacket:             "malformed-packet",
	packet.ProtocolError:               "protocol-error",
	packet.ImplementationSpecificError: "implementation-specific",
	packet.UnsupportedProtocolVersion:  "unsupported-version",
	packet.ClientIdentifierNotValid:    "client-id-not-valid",
	packet.BadUserNameOrPassword:       "bad-credentials",
	packet.NotAuthorized:               "not-authorized",
	packet.ServerUnavailable:           "server-unavailable",
	packet.ServerBusy:                  "server-busy",
	packet.Banned:                      "banned",
	packet.ServerShuttingDown:          "server-shutting-down",
	packet.BadAuthenticationMethod:     "bad-authentication-method",
	packet.KeepAliveTimeout:            "keep-alive-timeout",
	packet.SessionTakenOver:            "session-taken-over",
	packet.TopicFilterInvalid:          "topic-filter-invalid",
	packet.TopicNameInvalid:            "topic-name-invalid",
	packet.PacketIDInUse:               "packet-id-in-use",
	packet.PacketIDNotFound:            "packet-id-not-found",
	packet.ReceiveMaximumExceeded:      "receive-maximum-exceeded",
	packet.TopicAliasInvalid:           "topic-alias-invalid",
	packet.PacketTooLarge:              "packet-too-large",
	packet.QuotaExceeded:               "quota-exceeded",
	packet.AdministrativeAction:        "administrative-action",
	packet.PayloadFormatInvalid:        "payload-format-invalid",
	packet.RetainNotSupported:          "retain-not-supported",
	packet.QoSNotSupported:             "qos-not-supported",
	packet.UseAnotherServer:            "use-another-server",
	packet.ServerMoved:                 "server-moved",
	packet.ConnectionRateExceeded:      "connection-rate-exceeded",
	packet.SharedNotSupported:          "shared-not-supported",
	packet.WildcardNotSupported:        "wildcard-not-supported",
	packet.SubscriptionIDsNotSupported: "subscription-ids-not-supported",
}

// stranger recognises other protocols on the port by their first bytes.
func stranger(data []byte) (*endError, bool) {
	switch {
	case len(data) >= 2 && data[0] == 0x16 && data[1] == 0x03:
		return &endError{ending{why: "tls-on-plain-port", detail: "the client began a TLS handshake"}}, true
	case len(data) >= 4 && (string(data[:4]) == "GET " || string(data[:4]) == "POST" || string(data[:4]) == "HEAD"):
		return &endError{ending{why: "http-on-mqtt-port", detail: "the client sent an HTTP request"}}, true
	}
	return nil, false
}

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
	normal bool // the client said goodbye
	linger bool // let the client read the last packet before the connection goes
}

// errBye is a DISCONNECT from the client.
var errBye = errors.New("client disconnected")

// errClosing means that another goroutine has begun to close the connection.
var errClosing = errors.New("connection is closing")

// endingOf turns what the reader ended with into why the connection ends.
func endingOf(err error) ending {
	var end *endError
	var fault *packet.Error
	switch {
	case errors.As(err, &end):
		return end.ending
	case errors.As(err, &fault):
		return ending{why: reasonLabel(fault.Reason), reason: fault.Reason, detail: fault.Error(), linger: true}
	case errors.Is(err, errBye):
		return ending{why: "client_disconnect", normal: true}
	case errors.Is(err, io.EOF):
		return ending{why: "connection_lost", detail: "end of stream"}
	}
	return ending{why: "connection_lost", detail: err.Error()}
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
	packet.MalformedPacket:             "malformed_packet",
	packet.ProtocolError:               "protocol_error",
	packet.ImplementationSpecificError: "implementation_specific",
	packet.UnsupportedProtocolVersion:  "unsupported_version",
	packet.ClientIdentifierNotValid:    "client_id_not_valid",
	packet.BadUserNameOrPassword:       "bad_credentials",
	packet.NotAuthorized:               "not_authorized",
	packet.ServerUnavailable:           "server_unavailable",
	packet.ServerBusy:                  "server_busy",
	packet.Banned:                      "banned",
	packet.ServerShuttingDown:          "server_shutting_down",
	packet.BadAuthenticationMethod:     "bad_authentication_method",
	packet.KeepAliveTimeout:            "keep_alive_timeout",
	packet.SessionTakenOver:            "session_taken_over",
	packet.TopicFilterInvalid:          "topic_filter_invalid",
	packet.TopicNameInvalid:            "topic_name_invalid",
	packet.PacketIDInUse:               "packet_id_in_use",
	packet.PacketIDNotFound:            "packet_id_not_found",
	packet.ReceiveMaximumExceeded:      "receive_maximum_exceeded",
	packet.TopicAliasInvalid:           "topic_alias_invalid",
	packet.PacketTooLarge:              "packet_too_large",
	packet.QuotaExceeded:               "quota_exceeded",
	packet.AdministrativeAction:        "administrative_action",
	packet.PayloadFormatInvalid:        "payload_format_invalid",
	packet.RetainNotSupported:          "retain_not_supported",
	packet.QoSNotSupported:             "qos_not_supported",
	packet.UseAnotherServer:            "use_another_server",
	packet.ServerMoved:                 "server_moved",
	packet.ConnectionRateExceeded:      "connection_rate_exceeded",
}

// stranger recognises other protocols on the port by their first bytes.
func stranger(data []byte) (*endError, bool) {
	switch {
	case len(data) >= 2 && data[0] == 0x16 && data[1] == 0x03:
		return &endError{ending{why: "tls_on_plain_port", detail: "the client began a TLS handshake"}}, true
	case len(data) >= 4 && (string(data[:4]) == "GET " || string(data[:4]) == "POST" || string(data[:4]) == "HEAD"):
		return &endError{ending{why: "http_on_mqtt_port", detail: "the client sent an HTTP request"}}, true
	}
	return nil, false
}

package auth

import (
	"strings"

	"mangrove/mqtt"
	"mangrove/mqtt/topic"
)

// Open lets everybody in and everything through but what the node keeps for itself: the topics of
// links, and publishing what it says of itself under $SYS.
type Open struct{}

var _ mqtt.Authority = Open{}

// Authenticate implements mqtt.Authority.
func (Open) Authenticate(*mqtt.Client) error { return nil }

// MayPublish implements mqtt.Authority.
func (Open) MayPublish(_ *mqtt.Client, name string) bool { return mayPublish(name) }

// MaySubscribe implements mqtt.Authority.
func (Open) MaySubscribe(_ *mqtt.Client, filter string) bool { return maySubscribe(filter) }

const sysPrefix = "$SYS/"

func mayPublish(name string) bool { return !under(name, mqtt.LinkPrefix) && !under(name, sysPrefix) }

// maySubscribe looks behind "$share/group/". Wildcards at the start of a filter do not match topics that start
// with "$" [MQTT-4.7.2-1].
func maySubscribe(filter string) bool {
	_, rest := topic.Split(filter)
	return !under(rest, mqtt.LinkPrefix)
}

// under reports whether s is prefix, or in the folder of that name. prefix ends in "/".
func under(s, prefix string) bool {
	return strings.HasPrefix(s, prefix) || s == prefix[:len(prefix)-1]
}

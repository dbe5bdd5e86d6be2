package auth

import (
	"mangrove/mqtt"
	"mangrove/mqtt/topic"
)

// Open lets everybody in, and publish and subscribe wherever the table of package topic lets clients: that keeps the
// topics of links and what a node says of itself.
type Open struct{}

var _ mqtt.Authority = Open{}

// Authenticate implements mqtt.Authority.
func (Open) Authenticate(*mqtt.Client) error { return nil }

// MayPublish implements mqtt.Authority.
func (Open) MayPublish(_ *mqtt.Client, name string) bool { return topic.MayPublish(name, topic.Client) }

// MaySubscribe implements mqtt.Authority.
func (Open) MaySubscribe(_ *mqtt.Client, filter string) bool {
	return topic.MaySubscribe(filter, topic.Client)
}

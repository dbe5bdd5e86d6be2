package broker

import (
	"strings"

	"mangrove/mqtt"
	"mangrove/mqtt/packet"
	"mangrove/mqtt/topic"
)

func (c *conn) handleSubscribe(s *step, flags byte, body []byte) error {
	var p packet.Subscribe
	if err := p.Decode(flags, body, c.version); err != nil {
		return err
	}
	c.pause(s)                                                                                         // keeping a subscription may wait for the disk
	answer := &packet.Suback{PacketID: p.PacketID, Reasons: make([]packet.ReasonCode, len(p.Filters))} // [MQTT-3.8.4-5] [MQTT-3.8.4-6]
	subs, at := c.permitted(&p, answer.Reasons)
	existed, err := c.subscribe(subs)
	if err != nil {
		c.srv.log.Warn("subscriptions were not kept", "client", c.client.ID, "error", err)
		for _, i := range at {
			answer.Reasons[i] = ackReason(err)
		}
		c.out.send(answer, c.version)
		return nil
	}
	c.out.send(answer, c.version) // [MQTT-3.8.4-1] [MQTT-3.8.4-2]
	for i, sub := range subs {
		c.sendRetained(sub, existed[i])
	}
	return nil
}

func (c *conn) subscribe(subs []mqtt.Subscription) (existed []bool, err error) {
	if len(subs) == 0 {
		return nil, nil
	}
	return c.session.Subscribe(subs)
}

// permitted returns the subscriptions of p that are valid and allowed, with their places in p, and
// fills in the reason of each entry.
func (c *conn) permitted(p *packet.Subscribe, reasons []packet.ReasonCode) (subs []mqtt.Subscription, at []int) {
	var id uint32
	if p.Props.Has(packet.PropSubscriptionID) {
		id = p.Props.SubscriptionIDs[0]
	}
	for i, f := range p.Filters {
		if reasons[i] = c.maySubscribe(f.Filter); reasons[i] != packet.Success {
			continue
		}
		reasons[i] = packet.ReasonCode(f.QoS) // [MQTT-3.8.4-7]
		at = append(at, i)
		subs = append(subs, mqtt.Subscription{
			Filter: f.Filter, QoS: f.QoS, NoLocal: f.NoLocal, RetainAsPublished: f.RetainAsPublished,
			RetainHandling: f.RetainHandling, ID: id,
		})
	}
	return subs, at
}

// maySubscribe answers Success or why not.
func (c *conn) maySubscribe(filter string) packet.ReasonCode {
	if topic.CheckFilter(filter, topic.MaxLevels) != nil { // [MQTT-4.7.1-1] [MQTT-4.8.2-1]
		return packet.TopicFilterInvalid
	}
	_, plain := topic.Split(filter)
	if strings.HasPrefix(plain, mqtt.LinkPrefix) || !c.srv.cfg.Authority.MaySubscribe(&c.client, plain) {
		return packet.NotAuthorized
	}
	return packet.Success
}

// sendRetained sends what is retained under a new subscription. [MQTT-3.3.1-9] [MQTT-3.3.1-10]
// [MQTT-3.3.1-11]
func (c *conn) sendRetained(sub mqtt.Subscription, existed bool) {
	group, filter := topic.Split(sub.Filter)
	if group != "" || sub.RetainHandling == 2 || (sub.RetainHandling == 1 && existed) {
		return
	}
	send := newRetainedSender(c, sub)
	c.srv.sys.match(filter, send.add)
	if c.srv.cfg.Retained != nil {
		c.srv.cfg.Retained.Match(filter, c.srv.now(), send.add)
	}
	send.commit()
}

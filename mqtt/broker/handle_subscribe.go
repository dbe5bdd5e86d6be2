package broker

import (
	"errors"
	"fmt"

	"mangrove/mqtt"
	"mangrove/mqtt/packet"
	"mangrove/mqtt/topic"
)

// handleSubscribe answers with one SUBACK that has an entry for each filter, in their order. [MQTT-2.2.1-6]
// [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.9.3-1] [MQTT311-2.3.1-7] [MQTT311-3.8.4-1]
// [MQTT311-3.8.4-2] [MQTT311-3.8.4-4] [MQTT311-3.9.3-1]
func (c *conn) handleSubscribe(s *step, flags byte, body []byte) error {
	var p packet.Subscribe
	if err := p.Decode(flags, body, c.version); err != nil {
		return err
	}
	c.flushStep(s) // keeping a subscription may wait for the disk
	answer := &packet.Suback{PacketID: p.PacketID, Reasons: make([]packet.ReasonCode, len(p.Filters))}
	subs, at, err := c.permitted(&p, answer)
	if err != nil {
		return err
	}
	done, err := c.subscribe(subs)
	if stops := (*packet.Error)(nil); errors.As(err, &stops) && stops.Reason == packet.ServerShuttingDown {
		return err // unanswered: the client asks again elsewhere
	}
	if err != nil {
		c.srv.log.Warn("subscriptions were not kept", "client", c.client.ID, "error", err)
		for _, i := range at {
			answer.Reasons[i] = ackReason(err)
			answer.Props = c.because(answer.Reasons[i], "the subscription could not be kept")
		}
		c.send(answer)
		return nil
	}
	c.send(answer)
	for i, sub := range subs {
		c.sendRetained(sub, done[i])
	}
	return nil
}

func (c *conn) subscribe(subs []mqtt.Subscription) ([]mqtt.Subscribed, error) {
	if len(subs) == 0 {
		return nil, nil
	}
	return c.session.Subscribe(subs)
}

// permitted returns the subscriptions of p that are valid and allowed, with their places in p, and
// fills in the reason of each entry. An error is for 5.0 clients that use what they were told is off.
func (c *conn) permitted(p *packet.Subscribe, answer *packet.Suback) (subs []mqtt.Subscription, at []int, err error) {
	var id uint32
	if p.Props.Has(packet.PropSubscriptionID) {
		id = p.Props.SubscriptionIDs[0]
	}
	for i, f := range p.Filters {
		reason, detail := c.grants.maySubscribe(f.Filter, id != 0)
		if reason != packet.Success && c.version == packet.V5 { // sections 3.2.2.3.11 to 3.2.2.3.13
			return nil, nil, &packet.Error{Reason: reason, Detail: detail}
		}
		if reason == packet.Success {
			reason, detail = c.maySubscribe(f.Filter)
		}
		if answer.Reasons[i] = reason; reason != packet.Success {
			answer.Props = c.because(reason, fmt.Sprintf("filter %d: %s", i+1, detail))
			continue
		}
		qos := min(f.QoS, c.grants.qos)            // [MQTT-3.2.2-10]
		answer.Reasons[i] = packet.ReasonCode(qos) // [MQTT-3.8.4-7] [MQTT311-3.8.4-5]
		at = append(at, i)
		sub := mqtt.Subscription{
			Filter: f.Filter, QoS: qos, NoLocal: f.NoLocal, RetainAsPublished: f.RetainAsPublished,
			RetainHandling: f.RetainHandling, ID: id,
		}
		if c.rd.bridge {
			asBridge(&sub)
		}
		subs = append(subs, sub)
	}
	return subs, at, nil
}

// asBridge makes a subscription what a bridge that cannot say so wants: it does not get its own messages back, and RETAIN is as it was
// published, so that the broker behind it keeps and clears what is retained here. A shared subscription has no No Local.
func asBridge(sub *mqtt.Subscription) {
	group, _ := topic.Split(sub.Filter)
	sub.NoLocal, sub.RetainAsPublished = group == "", true
}

// maySubscribe answers Success or why not.
func (c *conn) maySubscribe(filter string) (reason packet.ReasonCode, detail string) {
	if err := topic.CheckFilter(filter, c.grants.TopicLevels); err != nil { // [MQTT-4.7.1-1] [MQTT-4.8.2-1] [MQTT311-3.8.3-2]
		return packet.TopicFilterInvalid, err.Error()
	}
	if !topic.MaySubscribe(filter, topic.Client) || !c.srv.cfg.Authority.MaySubscribe(&c.client, topic.CountedFilter(filter)) {
		return packet.NotAuthorized, "subscribing there is not permitted"
	}
	return packet.Success, ""
}

// sendRetained sends what is retained under a new subscription. [MQTT-3.3.1-9] [MQTT-3.3.1-10]
// [MQTT-3.3.1-11] [MQTT-3.8.4-4] [MQTT311-3.3.1-6] [MQTT311-3.8.4-3]
func (c *conn) sendRetained(sub mqtt.Subscription, done mqtt.Subscribed) {
	group, filter := topic.Split(sub.Filter)
	if group != "" || sub.RetainHandling == 2 || (sub.RetainHandling == 1 && done.Existed) {
		return
	}
	c.rd.owed.forget(sub.Filter)
	send := newRetainedSender(c, sub)
	c.srv.sys.match(filter, func(m *mqtt.Message) bool { return send.add(m, nil) })
	if c.grants.retain {
		c.srv.cfg.Retained.Replay(filter, c.srv.now(), done.Since, send.add)
	}
	send.commit()
}

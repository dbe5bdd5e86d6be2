package broker

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"mangrove/mqtt/topic"
	"mangrove/mqtt/transport"
)

// ParseListener reads an address as transport.ParseAddr does, with what its clients are granted behind it:
//
//	ADDR?option&option=value…      as "tls://0.0.0.0:8883?proxy&max-qos=1&retain=off"
//
// The options are those of ListenerOptions. TLS stays nil.
func ParseListener(s string) (l ListenerConfig, err error) {
	addr, query, _ := strings.Cut(s, "?")
	if _, err := transport.ParseAddr(addr); err != nil {
		return l, err
	}
	l.Addr = addr
	if query == "" {
		return l, nil
	}
	var seen []string
	for _, option := range strings.Split(query, "&") {
		name, value, _ := strings.Cut(option, "=")
		if slices.Contains(seen, name) {
			return l, fmt.Errorf("listener option %s stands there twice", name)
		}
		seen = append(seen, name)
		if value, err = url.PathUnescape(value); err == nil {
			err = l.set(name, value)
		}
		if err != nil {
			return l, fmt.Errorf("listener option %q: %w", option, err)
		}
	}
	return l, l.Limits.check()
}

// ListenerOptions says in words which options ParseListener knows, for messages and help texts.
const ListenerOptions = "proxy, max-qos, retain, wildcards, shared, subscription-ids, topic-levels, topic-aliases, packet-size, " +
	"receive-maximum, session-expiry, keep-alive, use-server and moved-to"

func (l *ListenerConfig) set(name, value string) (err error) {
	g := &l.Limits
	switch name {
	case "proxy": // see Proxy
		l.Proxy, err = true, none(value)
	case "max-qos":
		g.MaxQoS, err = whole(value, 0, 2)
		if g.MaxQoS == 0 {
			g.MaxQoS = QoS0Only
		}
	case "retain":
		g.NoRetain, err = off(value)
	case "wildcards":
		g.NoWildcards, err = off(value)
	case "shared":
		g.NoShared, err = off(value)
	case "subscription-ids":
		g.NoSubscriptionIDs, err = off(value)
	case "topic-levels":
		g.TopicLevels, err = whole(value, 1, topic.MaxLength)
	case "topic-aliases":
		g.TopicAliasMaximum, err = whole(value, 0, math.MaxUint16)
		if g.TopicAliasMaximum == 0 {
			g.TopicAliasMaximum = -1
		}
	case "packet-size":
		n := 0
		n, err = whole(value, 16, 256<<20)
		g.MaxPacket = uint32(n)
	case "receive-maximum":
		n := 0
		n, err = whole(value, 1, math.MaxUint16)
		g.ReceiveMaximum = uint16(n)
	case "session-expiry":
		g.SessionExpiryMax, err = span(value)
	case "keep-alive":
		g.KeepAliveMax, err = span(value)
	case "use-server":
		err = g.redirect(Redirect{To: value})
	case "moved-to":
		err = g.redirect(Redirect{To: value, Moved: true})
	default:
		err = errors.New("allowed are " + ListenerOptions)
	}
	return err
}

func (l *Limits) redirect(to Redirect) error {
	if to.To == "" {
		return errors.New("want host or host:port")
	}
	if l.Redirect.To != "" {
		return errors.New("use-server and moved-to exclude each other")
	}
	l.Redirect = to
	return nil
}

func none(value string) error {
	if value != "" {
		return errors.New("it takes no value")
	}
	return nil
}

func off(value string) (bool, error) {
	if value != "on" && value != "off" {
		return false, errors.New("want on or off")
	}
	return value == "off", nil
}

func whole(value string, least, most int) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("want a whole number from %d to %d", least, most)
	}
	return n, nil
}

func span(value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err != nil || d < time.Second {
		return 0, errors.New("want a time of 1s or more, such as 90s or 24h")
	}
	return d, nil
}

package config

import (
	"strings"
	"testing"
	"time"
)

func TestListenerOptionsInTheFile(t *testing.T) {
	c := New(Edge)
	err := c.Load(write(t, `
listen = ["127.0.0.1:1883?max-qos=1&retain=off", "unix:///run/m.sock?proxy"]
[limits]
session_expiry = "168h"
keep_alive = "90s"
topic_levels = 9
receive_maximum = 7
[shutdown]
other_servers = "b:1883 c:1883"
`))
	if err != nil {
		t.Fatal(err)
	}
	n, err := c.Settings()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Check(); err != nil {
		t.Error(err)
	}
	l := n.Limits
	if l.SessionExpiry != 168*time.Hour || l.KeepAlive != 90*time.Second || l.TopicLevels != 9 || l.ReceiveMaximum != 7 || n.ShutdownReference != "b:1883 c:1883" {
		t.Errorf("got %+v and %q, want what the file says", l, n.ShutdownReference)
	}
}

func TestListenerMistakes(t *testing.T) {
	for text, want := range map[string]string{
		`listen = ["127.0.0.1:1883?max-qos=3"]`:   `:1:1: listen: found "127.0.0.1:1883?max-qos=3": listener option "max-qos=3": want a whole number from 0 to 2`,
		`listen = ["nowhere?proxy"]`:              `:1:1: listen: found "nowhere?proxy": "nowhere" is not host:port`,
		"[limits]\nsession_expiry = \"-1s\"":      `:2:1: limits.session_expiry: found the text "-1s", want "0s", or a time from "1s"`,
		"[limits]\nkeep_alive = 5":                `limits.keep_alive: found the number 5, want "0s"`,
		`listen = ["0.0.0.0:1883?retain=off"]`:    `0.0.0.0:1883?retain=off is reachable from other machines`,
		`listen = ["tls://127.0.0.1:1883?proxy"]`: `tls://127.0.0.1:1883?proxy needs a certificate`,
	} {
		c := New(Edge)
		err := c.Load(write(t, text))
		if err == nil {
			err = check(c)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want it to say %s", text, err, want)
		}
	}
}

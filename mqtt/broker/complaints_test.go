package broker

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"mangrove/mqtt/packet"
)

// logText is what a bench has logged at the level of a node by default.
func logText(b *strings.Builder) func(*Config) {
	return func(c *Config) { c.Log = slog.New(slog.NewTextHandler(b, nil)) }
}

// A client that is refused is told of, with its name and why; one that comes again and again does not fill the log.
func TestRefusedClientsAreTold(t *testing.T) {
	var log strings.Builder
	script(t, logText(&log), func(b *bench) {
		for range 20 {
			p := b.peer(packet.V5)
			p.Write(&packet.Connect{Version: packet.V5, ClientID: "intruder", Username: "nobody", HasUser: true, CleanStart: true})
			p.next()
			p.WantClosed("refused")
		}
		synctest.Wait()
		if got := strings.Count(log.String(), "client=intruder"); got != 1 || !strings.Contains(log.String(), "reason=bad-credentials") {
			t.Errorf("got %d lines, want 1: %s", got, log.String())
		}
	})
}

func TestClientsThrownOutAreTold(t *testing.T) {
	var log strings.Builder
	script(t, logText(&log), func(b *bench) {
		p := b.client(packet.V5, "z2m")
		p.WriteBytes([]byte{0x3F, 0x00}) // QoS 3
		p.WantDisconnect("malformed", packet.MalformedPacket)
		quiet := b.client(packet.V5, "polite")
		quiet.Write(&packet.Disconnect{})
		quiet.WantClosed("goodbye")
		synctest.Wait()
		if !strings.Contains(log.String(), `msg="client thrown out" reason=malformed-packet`) || !strings.Contains(log.String(), "client=z2m") {
			t.Errorf("got %q, want the client and why", log.String())
		}
		if strings.Contains(log.String(), "polite") {
			t.Errorf("got %q, want no word of one that said goodbye", log.String())
		}
	})
}

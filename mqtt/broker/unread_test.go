package broker

import (
	"testing"
	"testing/synctest"
	"time"

	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// slowRules keeps the reader busy with each PUBLISH until the test lets it go on.
type slowRules struct {
	rules
	goOn chan struct{}
}

func (r slowRules) MayPublish(*mqtt.Client, string) bool {
	<-r.goOn
	return true
}

// only returns the server's only connection.
func (b *bench) only() (c *conn) {
	b.srv.each(func(each *conn) { c = each })
	return c
}

// AwaitHandled returns as soon as the reader has handled what came, and not later than its patience lasts.
func TestAwaitHandled(t *testing.T) {
	var goOn chan struct{}
	slow := func(c *Config) {
		goOn = make(chan struct{}) // of the bubble
		c.Authority = slowRules{goOn: goOn}
	}
	script(t, slow, func(b *bench) {
		p := b.client(packet.V311, "p")
		c := b.only()
		took := func() time.Duration {
			began := time.Now()
			c.AwaitHandled()
			return time.Since(began)
		}
		if got := took(); got != 0 {
			t.Errorf("idle: waited %v, want no wait", got)
		}
		p.Write(pub("a", ""))
		synctest.Wait()
		if got := took(); got != handledTime {
			t.Errorf("stuck: waited %v, want %v", got, handledTime)
		}
		both := make(chan time.Duration, 2)
		for range 2 {
			go func() { both <- took() }()
		}
		time.Sleep(time.Millisecond)
		goOn <- struct{}{}
		for range 2 {
			if got := <-both; got != time.Millisecond {
				t.Errorf("handled after 1ms: waited %v", got)
			}
		}
		p.Write(pub("a", ""), &packet.Disconnect{})
		go func() {
			time.Sleep(time.Millisecond)
			goOn <- struct{}{}
		}()
		synctest.Wait()
		if got := took(); got != time.Millisecond || !c.left.Load() {
			t.Errorf("left after 1ms: waited %v, left is %t", got, c.left.Load())
		}
	})
}

package bench

import "time"

// Progress is what is known while a run goes on.
type Progress struct {
	Phase     string
	Elapsed   time.Duration
	Delivered uint64
	Rate      float64 // deliveries, or acknowledgements where nobody is there to deliver to, per second since the last
	P50, P99  time.Duration
}

// progress tells Config.Progress once a second.
type progress struct {
	f     *flow
	phase string
	last  int64  // when it told
	count uint64 // what it told
}

func (p *progress) due(now int64) bool { return now-p.last >= int64(time.Second) }

func (p *progress) tell(now int64) {
	f := p.f
	count := f.delivered + f.confirmed
	if f.delivered > 0 {
		count = f.delivered
	}
	rate := float64(count-min(count, p.count)) / time.Duration(now-p.last).Seconds()
	p.last, p.count = now, count
	if f.cfg.Progress == nil {
		return
	}
	h := &f.latency
	if h.Count() == 0 {
		h = &f.acks
	}
	f.cfg.Progress(Progress{
		Phase: p.phase, Elapsed: time.Duration(now), Delivered: f.delivered, Rate: rate,
		P50: time.Duration(h.Quantile(0.5)), P99: time.Duration(h.Quantile(0.99)),
	})
}

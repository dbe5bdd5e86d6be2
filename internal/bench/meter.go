package bench

import "time"

// meter is what broker and generator spend between begin and end.
type meter struct {
	pid          int
	broker, mine Usage
}

func (m *meter) begin(pid int) (err error) {
	m.pid = pid
	if m.mine, err = UsageOf(0); err != nil || pid == 0 {
		return err
	}
	m.broker, err = UsageOf(pid)
	return err
}

// end enters it into r, for each of r.Messages.
func (m *meter) end(r *Result) error {
	mine, err := UsageOf(0)
	if err != nil {
		return err
	}
	n := max(1, float64(r.Messages))
	r.GeneratorCPU = micros(mine.CPU-m.mine.CPU) / n
	if m.pid == 0 {
		return nil
	}
	u, err := UsageOf(m.pid)
	if err != nil {
		return err
	}
	r.Measured = true
	r.CPU = (u.CPU - m.broker.CPU).Seconds()
	r.CPUPerMillion = micros(u.CPU-m.broker.CPU) / n
	r.PeakRSS, r.RSS = u.PeakRSS, u.RSS
	r.Written = float64(u.Written-m.broker.Written) / n
	return nil
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

package broker

import (
	"math"
	"strconv"
	"time"
)

// load is how fast some figures rise, per minute, averaged over the last 1, 5 and 15 minutes with
// less weight the longer ago, as Mosquitto does. Pure.
type load struct{ rates map[string]*rate }

// spans are the minutes averaged over.
var spans = [3]float64{1, 5, 15}

// rate follows one figure.
type rate struct {
	last     uint64
	averages [len(spans)]float64
}

// add takes the value of a figure, which only rises, since the last call.
func (r *rate) add(value uint64, since time.Duration) {
	minutes := since.Minutes()
	perMinute := float64(value-r.last) / minutes
	r.last = value
	for i, span := range spans {
		r.averages[i] = perMinute + math.Exp(-minutes/span)*(r.averages[i]-perMinute)
	}
}

// figures takes the values of now and returns the averages, under load/NAME/1min and so on.
func (l *load) figures(now []counted, since time.Duration) (all []figure) {
	if l.rates == nil {
		l.rates = make(map[string]*rate, len(now))
	}
	for _, c := range now {
		r := l.rates[c.name]
		if r == nil {
			r = &rate{}
			l.rates[c.name] = r
		}
		if since > 0 {
			r.add(c.value, since)
		}
		for i, span := range spans {
			name := "load/" + c.name + "/" + strconv.Itoa(int(span)) + "min"
			all = append(all, figure{name, strconv.FormatFloat(r.averages[i], 'f', 2, 64)})
		}
	}
	return all
}

// counted is a figure that only rises.
type counted struct {
	name  string
	value uint64
}

package bench

import "errors"

// addDeaf adds subscribers to everything that never read: what they leave unread must harm nobody else.
func (f *flow) addDeaf() error {
	var all []*conn
	for range f.cfg.Deaf {
		all = append(all, f.client("deaf"))
	}
	if err := f.connect(true, all...); err != nil {
		return err
	}
	for _, c := range all {
		c.subscribe(f.cfg.QoS, f.topic("#"))
	}
	if err := f.subscribed(all...); err != nil {
		return err
	}
	var faults []error
	for _, c := range all {
		faults = append(faults, f.l.poll.forget(c.fd))
	}
	return errors.Join(faults...)
}

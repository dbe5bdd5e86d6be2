// Package setting holds the rule that the numbers of every Config follow, so that nobody has to remember one per package:
//
//	zero       the default, which the field's comment names
//	negative   without it, where the comment says what that means: no bound, never, none; elsewhere New refuses
//	positive   what it says, or New refuses with the values that are allowed
//
// A refusal names the field. A Config calls Default, Bound or cmp.Or once for each field, in the check that its New
// begins with:
//
//	Default   a negative value is refused: a buffer, a window, a time-out
//	Bound     a negative value is no bound: of connections, of messages that wait
//	cmp.Or    a negative value stays, and the package that has the field knows it as "never" or "none"
//
// Pure functions; no goroutines.
package setting

import "fmt"

// Number is what a field counts: things, bytes, seconds, or a time.Duration.
type Number interface{ ~int | ~int64 | ~float64 }

// Default gives *v the value def when it is zero. The error says that *v is negative, and calls it name.
func Default[T Number](name string, v *T, def T) error {
	switch {
	case *v == 0:
		*v = def
	case *v < 0:
		return fmt.Errorf("%s is %v, must not be negative", name, *v)
	}
	return nil
}

// Bound gives *v the value def when it is zero, and Unbounded when it is negative.
func Bound[T ~int | ~int64](v *T, def T) {
	switch {
	case *v == 0:
		*v = def
	case *v < 0:
		*v = Unbounded[T]()
	}
}

// Unbounded is the value of a bound that nothing reaches: the largest power of two that T can hold, 146 years as a
// time.Duration. As much again may be added to it.
func Unbounded[T ~int | ~int64]() T {
	n := T(1)
	for n<<1 > 0 {
		n <<= 1
	}
	return n
}

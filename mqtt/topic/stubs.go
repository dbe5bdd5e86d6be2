// Package topic knows topic names, topic filters, the shared-subscription syntax, and the tree
// that finds the subscriptions of a topic.
package topic

// MaxLevels bounds the depth of a name or filter where the caller gives no other bound.
const MaxLevels = 128

// CheckName tells why s is not a valid topic name [MQTT-4.7.3-1]; nil when it is. Errors say which rule.
func CheckName(s string, maxLevels int) error { panic("stub") }

// CheckFilter tells why s is not a valid topic filter, shared subscriptions ("$share/g/f") included.
func CheckFilter(s string, maxLevels int) error { panic("stub") }

// Split takes a valid filter apart: "$share/g/a/#" is group "g", filter "a/#"; other filters have group "".
func Split(filter string) (group, rest string) { panic("stub") }

// Match reports whether filter (without $share) matches name, "$" rule included [MQTT-4.7.2-1].
func Match(filter, name string) bool { panic("stub") }

// Tree holds values under filters, at most one for each pair of filter and key. Reading takes no
// lock; safe for concurrent use.
type Tree[K comparable, V any] struct{}

// Set puts v under filter and key; existed tells that there was one before.
func (t *Tree[K, V]) Set(filter string, key K, v V) (existed bool) { panic("stub") }

// Delete removes what is under filter and key.
func (t *Tree[K, V]) Delete(filter string, key K) (existed bool) { panic("stub") }

// Match calls visit for each entry whose filter matches name. visit must not call Set or Delete.
func (t *Tree[K, V]) Match(name string, visit func(key K, v V)) { panic("stub") }

// Generation changes with each Set or Delete: a cached match result is good while it stays the same.
func (t *Tree[K, V]) Generation() uint64 { panic("stub") }

// Len is the number of entries.
func (t *Tree[K, V]) Len() int { panic("stub") }

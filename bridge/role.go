package bridge

import "mangrove/mqtt"

// scopeOf is what a node of role theirs is to a node of role mine; 0 when they do not link.
func scopeOf(mine, theirs Role) mqtt.Scope {
	switch {
	case mine == RoleCore && theirs == RoleCore:
		return mqtt.ScopePeer
	case mine == RoleCore && theirs == RoleEdge:
		return mqtt.ScopeEdge
	case mine == RoleEdge && theirs == RoleCore:
		return mqtt.ScopeUplink
	}
	return 0
}

// code is a role on the wire.
func (r Role) code() uint64 {
	switch r {
	case RoleEdge:
		return 1
	case RoleCore:
		return 2
	}
	return 0
}

func roleOf(code uint64) Role {
	switch code {
	case 1:
		return RoleEdge
	case 2:
		return RoleCore
	}
	return ""
}

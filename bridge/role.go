package bridge

import (
	"mangrove/bridge/frame"
	"mangrove/mqtt"
)

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

// code is a role in HELLO.
func (r Role) code() frame.Role {
	if r == RoleEdge {
		return frame.RoleEdge
	}
	return frame.RoleCore
}

// roleOf is the role of a HELLO.
func roleOf(code frame.Role) Role {
	if code == frame.RoleEdge {
		return RoleEdge
	}
	return RoleCore
}

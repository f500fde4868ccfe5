package org

// The texts of the lists, for their plans.
const (
	ListOrganizationsSQL = listOrganizations
	ListMembersSQL       = listMembers
	ListBelongingsSQL    = listBelongings
	ListInvitationsSQL   = listInvitations
	LastActiveSQL        = lastActive
)

package ncloud

import "context"

// Platform is what Classic and VPC have in common: the same questions and orders, here under one name each. What only one
// of them has is a method of ClassicService or VPCService.
type Platform interface {
	GetRegionList(ctx context.Context) ([]Region, error)
	GetZoneList(ctx context.Context) ([]Zone, error)
	GetServerImageProductList(ctx context.Context, f ImageProductFilter) ([]Product, error)
	GetServerProductList(ctx context.Context, f ServerProductFilter) ([]Product, error)
	GetAccessControlGroupList(ctx context.Context, f ACGFilter) ([]ACG, error)

	GetServerInstanceList(ctx context.Context, f ServerFilter) ([]Server, error)
	GetServerInstanceDetail(ctx context.Context, no string) (Server, error)
	CreateServerInstances(ctx context.Context, q CreateServer) (Server, error)
	StartServerInstances(ctx context.Context, no string) error
	StopServerInstances(ctx context.Context, no string) error
	RebootServerInstances(ctx context.Context, no string) error
	TerminateServerInstances(ctx context.Context, no string) error
	SetProtectServerTermination(ctx context.Context, no string, protect bool) error
	GetRootPassword(ctx context.Context, serverNo, privateKey string) (string, error)

	GetLoginKeyList(ctx context.Context, name string) ([]LoginKey, error)
	ImportLoginKey(ctx context.Context, name, publicKey string) (LoginKey, error)
	CreateLoginKey(ctx context.Context, name string) (LoginKey, error)
	DeleteLoginKey(ctx context.Context, name string) error

	GetPublicIpInstanceList(ctx context.Context, f PublicIPFilter) ([]PublicIP, error)
	GetPublicIpInstanceDetail(ctx context.Context, no string) (PublicIP, error)
	CreatePublicIpInstance(ctx context.Context, q CreatePublicIP) (PublicIP, error)
	AssociatePublicIpWithServerInstance(ctx context.Context, no, serverNo string) error
	DisassociatePublicIpFromServerInstance(ctx context.Context, no string) error
	DeletePublicIpInstance(ctx context.Context, no string) error

	GetBlockStorageInstanceList(ctx context.Context, f BlockStorageFilter) ([]BlockStorage, error)
	GetBlockStorageInstanceDetail(ctx context.Context, no string) (BlockStorage, error)
	CreateBlockStorageInstance(ctx context.Context, q CreateBlockStorage) (BlockStorage, error)
	AttachBlockStorageInstance(ctx context.Context, no, serverNo string) error
	DetachBlockStorageInstances(ctx context.Context, no string) error
	DeleteBlockStorageInstances(ctx context.Context, no string) error
	ChangeBlockStorageVolumeSize(ctx context.Context, no string, size int) error

	GetBlockStorageSnapshotInstanceList(ctx context.Context, f SnapshotFilter) ([]Snapshot, error)
	GetBlockStorageSnapshotInstanceDetail(ctx context.Context, no string) (Snapshot, error)
	CreateBlockStorageSnapshotInstance(ctx context.Context, q CreateSnapshot) (Snapshot, error)
	DeleteBlockStorageSnapshotInstances(ctx context.Context, no string) error

	AddMemberServerImageSharingPermission(ctx context.Context, no string, loginIDs []string) error
	RemoveMemberServerImageSharingPermission(ctx context.Context, no string, loginIDs []string) error
}

var (
	_ Platform = (*VPCService)(nil)
	_ Platform = (*ClassicService)(nil)
)

// On returns the platform of that name, "classic" or "vpc".
func (c *Client) On(platform string) Platform {
	if platform == "classic" {
		return c.Classic
	}
	return c.VPC
}

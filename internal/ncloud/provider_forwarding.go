package ncloud

import (
	"context"

	"github.com/NaverCloudPlatform/ncloud-sdk-go-v2/services/server"
)

// PortForwardingConfiguration is the shared address of an account's port forwarding rules (Classic).
type PortForwardingConfiguration struct {
	No, PublicIP string
	ServerNos    []string
}

// GetPortForwardingConfigurationList lists the port forwarding configurations a server is in; all of the region's when
// serverNo is empty.
func (a *ClassicService) GetPortForwardingConfigurationList(ctx context.Context, serverNo string) ([]PortForwardingConfiguration, error) {
	q := server.GetPortForwardingConfigurationListRequest{}
	if serverNo != "" {
		q.ServerInstanceNoList = opts([]string{serverNo})
	}
	return list(ctx, a.c, (*csv).GetPortForwardingConfigurationList, q, serverNo,
		func(r *server.GetPortForwardingConfigurationListResponse) []*server.PortForwardingConfiguration {
			return r.PortForwardingConfigurationList
		},
		func(p *server.PortForwardingConfiguration) PortForwardingConfiguration {
			return PortForwardingConfiguration{No: str(p.PortForwardingConfigurationNo), PublicIP: str(p.PortForwardingPublicIp), ServerNos: strs(p.ServerInstanceNoList)}
		})
}

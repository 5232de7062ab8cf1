package localcloud

import (
	"slices"
	"strings"
)

// Route tables (read only). A VPC has the two it was born with, one for public and one for private subnets. They are not
// kept: their numbers follow from the VPC's. The official provider's data sources ncloud_vpc and ncloud_vpcs ask for them
// to tell a VPC's default route tables.

func init() {
	handle("vpc", "getRouteTableList", func(r *request, p *struct {
		paging
		Nos   []string `p:"routeTableNoList"`
		Name  string   `p:"routeTableName"`
		Type  string   `p:"supportedSubnetTypeCode,oneof=PUBLIC|PRIVATE"`
		VPCNo string   `p:"vpcNo"`
	}) (reply, *apiError) {
		rows := r.routeTables()
		rows = slices.DeleteFunc(rows, func(t routeTableRow) bool {
			return !wantedIn(p.Nos, t.No) || !wanted(p.Name, t.Name) || !wanted(p.Type, t.Subnets.Code) || !wanted(p.VPCNo, t.VPCNo)
		})
		return page("routeTableList", rows, p.paging)
	})
	handle("vpc", "getRouteTableDetail", func(r *request, p *struct {
		No string `p:"routeTableNo,required"`
	}) (reply, *apiError) {
		for _, t := range r.routeTables() {
			if t.No == p.No {
				return rowsOf("routeTableList", []routeTableRow{t}), nil
			}
		}
		return reply{}, business("1017007", "You cannot access the appropriate Route Table")
	})
}

type routeTableRow struct {
	No      string `json:"routeTableNo"`
	Name    string `json:"routeTableName"`
	Region  string `json:"regionCode"`
	VPCNo   string `json:"vpcNo"`
	Subnets code   `json:"supportedSubnetType"`
	Default bool   `json:"isDefault"`
	Status  code   `json:"routeTableStatus"`
	Desc    string `json:"routeTableDescription"`
}

// routeTables lists those of the VPCs that the call can see.
func (r *request) routeTables() []routeTableRow {
	rows := []routeTableRow{}
	for _, v := range sorted(r.st.VPCs) {
		if !r.here(&v.base) {
			continue
		}
		for digit, kind := range map[string]code{"1": {"PUBLIC", "Public"}, "2": {"PRIVATE", "Private"}} {
			rows = append(rows, routeTableRow{No: v.No + digit, Name: v.Name + "-default-" + strings.ToLower(kind.Code) + "-table", Region: v.Region, VPCNo: v.No,
				Subnets: kind, Default: true, Status: named("RUN", netStatusNames), Desc: "VPC [" + v.Name + "] default " + kind.CodeName + " table"})
		}
	}
	slices.SortFunc(rows, func(a, b routeTableRow) int { return strings.Compare(a.No, b.No) })
	return rows
}

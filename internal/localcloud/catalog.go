package localcloud

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

//go:embed catalog.json
var catalogJSON []byte

// catalogue is what the simulated account may choose from; see the "about" text in catalog.json for the rows.
type catalogue struct {
	classicRegions, vpcRegions []region
	classicZones, vpcZones     []zone
	images                     map[string][]imageProduct  // by platform
	servers                    map[string][]serverProduct // by platform
	serverImages               []serverImage
	specs                      []spec
}

type region struct{ no, code, name string } // no only on Classic

type zone struct{ no, code, description, regionNo, regionCode string }

type imageProduct struct {
	code, name, description string
	diskGB                  int64
}

type serverProduct struct {
	code, typeCode    string
	cpu, memGB        int64
	diskGB            int64
	diskKind          string // HDD, SSD
	generation        string
	gpu               string
	name, description string
}

type serverImage struct {
	no, name, description, productCode, hypervisor, osType, category string
	diskGB                                                           int64
	volumeType                                                       string
}

type spec struct {
	code        string
	cpu, memGB  int64
	hypervisor  string
	productCode string
	regions     []string
}

const gb = 1 << 30

// loadCatalogue parses the embedded file. It is part of the binary, so an error in it is a bug and panics.
func loadCatalogue() *catalogue {
	var raw struct {
		ClassicRegions, ClassicZones, VpcRegions, VpcZones                        [][]string
		VpcImages, ClassicImages, VpcServers, ClassicServers, ServerImages, Specs [][]any
	}
	if err := json.Unmarshal(catalogJSON, &raw); err != nil {
		panic("localcloud: catalog.json: " + err.Error())
	}
	str := func(v any) string { return v.(string) }
	num := func(v any) int64 { return int64(v.(float64)) }

	c := &catalogue{images: map[string][]imageProduct{}, servers: map[string][]serverProduct{}}
	for _, r := range raw.ClassicRegions {
		c.classicRegions = append(c.classicRegions, region{r[0], r[1], r[2]})
	}
	for _, r := range raw.VpcRegions {
		c.vpcRegions = append(c.vpcRegions, region{"", r[0], r[1]})
	}
	for _, z := range raw.ClassicZones {
		c.classicZones = append(c.classicZones, zone{no: z[0], code: z[1], description: z[2], regionNo: z[3], regionCode: c.classicRegion(z[3]).code})
	}
	for _, z := range raw.VpcZones {
		c.vpcZones = append(c.vpcZones, zone{code: z[0], description: z[1], regionCode: z[2]})
	}
	for platform, rows := range map[string][][]any{vpc: raw.VpcImages, classic: raw.ClassicImages} {
		for _, r := range rows {
			p := imageProduct{str(r[0]), str(r[1]), str(r[2]), num(r[3])}
			if p.description == "" {
				p.description = p.name
			}
			c.images[platform] = append(c.images[platform], p)
		}
	}
	for platform, rows := range map[string][][]any{vpc: raw.VpcServers, classic: raw.ClassicServers} {
		for _, r := range rows {
			p := serverProduct{code: str(r[0]), typeCode: str(r[1]), cpu: num(r[2]), memGB: num(r[3]), diskGB: num(r[4]), diskKind: str(r[5]), generation: str(r[6]), gpu: str(r[7])}
			p.name = fmt.Sprintf("vCPU %dEA, Memory %dGB, %sDisk %dGB", p.cpu, p.memGB, map[string]string{"SSD": "[SSD]"}[p.diskKind], p.diskGB)
			if p.gpu != "" {
				p.name = p.gpu + ", " + p.name
			}
			p.description = p.name
			c.servers[platform] = append(c.servers[platform], p)
		}
	}
	for _, r := range raw.ServerImages {
		c.serverImages = append(c.serverImages, serverImage{str(r[0]), str(r[1]), str(r[2]), str(r[3]), str(r[4]), str(r[5]), str(r[6]), num(r[7]), str(r[8])})
	}
	for _, r := range raw.Specs {
		s := spec{code: str(r[0]), cpu: num(r[1]), memGB: num(r[2]), hypervisor: str(r[3]), productCode: str(r[4])}
		for _, v := range r[5].([]any) {
			s.regions = append(s.regions, str(v))
		}
		c.specs = append(c.specs, s)
	}
	return c
}

func (c *catalogue) classicRegion(no string) region {
	i := slices.IndexFunc(c.classicRegions, func(r region) bool { return r.no == no })
	if i < 0 {
		return region{}
	}
	return c.classicRegions[i]
}

func (c *catalogue) vpcRegion(code string) (region, bool) {
	i := slices.IndexFunc(c.vpcRegions, func(r region) bool { return r.code == code })
	if i < 0 {
		return region{}, false
	}
	return c.vpcRegions[i], true
}

func (c *catalogue) zonesOf(platform, regionCode string) []zone {
	zones := c.vpcZones
	if platform == classic {
		zones = c.classicZones
	}
	var out []zone
	for _, z := range zones {
		if z.regionCode == regionCode {
			out = append(out, z)
		}
	}
	return out
}

func (c *catalogue) image(platform, code string) (imageProduct, bool) {
	for _, p := range c.images[platform] {
		if p.code == code {
			return p, true
		}
	}
	return imageProduct{}, false
}

func (c *catalogue) server(platform, code string) (serverProduct, bool) {
	for _, p := range c.servers[platform] {
		if p.code == code {
			return p, true
		}
	}
	return serverProduct{}, false
}

// serversFor lists the server products that an image product can run on: those with a root disk of the image's size;
// Rocky Linux runs on first-generation products only with a GPU. (Checked against the published lists.)
func (c *catalogue) serversFor(platform string, img imageProduct) []serverProduct {
	var out []serverProduct
	for _, p := range c.servers[platform] {
		if p.diskGB == img.diskGB && !(strings.Contains(img.code, ".ROCKY.") && p.generation == "G1" && p.typeCode != "GPU") {
			out = append(out, p)
		}
	}
	return out
}

// smallest picks what the API picks when no product is named: least memory, then CPU, root disk, disk kind.
func smallest(list []serverProduct) serverProduct {
	return slices.MinFunc(list, func(a, b serverProduct) int {
		for _, d := range []int64{a.memGB - b.memGB, a.cpu - b.cpu, a.diskGB - b.diskGB} {
			if d != 0 {
				return int(d)
			}
		}
		return strings.Compare(a.diskKind, b.diskKind)
	})
}

func (c *catalogue) serverImage(no string) (serverImage, bool) {
	for _, p := range c.serverImages {
		if p.no == no {
			return p, true
		}
	}
	return serverImage{}, false
}

// specsFor lists the specs of a hypervisor in a region, smallest first as listed.
func (c *catalogue) specsFor(hypervisor, regionCode string) []spec {
	var out []spec
	for _, s := range c.specs {
		if (hypervisor == "" || s.hypervisor == hypervisor) && s.in(regionCode) {
			out = append(out, s)
		}
	}
	return out
}

func (s spec) in(regionCode string) bool {
	return len(s.regions) == 0 || slices.Contains(s.regions, regionCode)
}

// isWindows tells by a product code or image name of either platform.
func isWindows(code string) bool {
	return strings.Contains(code, "WND") || strings.Contains(code, "WINNT") || strings.HasPrefix(code, "win-")
}

// platformType is the API's platform code of an image product.
func platformType(code, description string) string {
	switch {
	case isWindows(code):
		return "WND64"
	case strings.Contains(code, "UBNTU") && strings.HasSuffix(code, ".G003"):
		return "UBD64" // what Ubuntu on KVM reports
	case strings.Contains(code, "UBNTU") || strings.HasPrefix(strings.ToLower(description), "ubuntu"):
		return "UBS64"
	}
	return "LNX64"
}

// productType is the API's kind of an image product.
func productType(code string) string {
	if isWindows(code) {
		return "WINNT"
	}
	return "LINUX"
}

// guestOS names the operating system that package guest imitates for an image product: "ubuntu-20.04", "rocky-8.10",
// "centos-7.8", "rhel-8.10", "oracle-7.6", "windows-2019".
func guestOS(code, description string) string {
	text := strings.ToLower(description + " " + code)
	version := func(after string) string {
		_, rest, _ := strings.Cut(text, after)
		rest = strings.TrimLeft(rest, " abcdefghijklmnopqrstuvwxyz-")
		end := strings.IndexFunc(rest, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
		if end >= 0 {
			rest = rest[:end]
		}
		return strings.Trim(rest, ".")
	}
	for _, d := range []struct{ in, os string }{{"windows", "windows"}, {"win-", "windows"}, {"ubuntu", "ubuntu"}, {"rocky", "rocky"}, {"centos", "centos"}, {"red hat", "rhel"}, {"oracle", "oracle"}} {
		if strings.Contains(text, d.in) {
			return d.os + "-" + version(d.in)
		}
	}
	return "ubuntu-22.04"
}

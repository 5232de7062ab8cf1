package localcloud

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// What both platforms share: the catalogue's lists, login keys, the root password, image sharing.

func init() {
	handle("vserver", "getRegionList", func(r *request, _ *struct{}) (reply, *apiError) {
		var rows []vpcRegionRow
		for _, g := range r.cat.vpcRegions {
			rows = append(rows, vpcRegionRow{g.code, g.name})
		}
		return rowsOf("regionList", rows), nil
	})
	handle("server", "getRegionList", func(r *request, _ *struct{}) (reply, *apiError) {
		var rows []regionRow
		for _, g := range r.cat.classicRegions {
			rows = append(rows, regionRow{g.no, g.code, g.name})
		}
		return rowsOf("regionList", rows), nil
	})
	handle("vserver", "getZoneList", func(r *request, _ *struct{}) (reply, *apiError) {
		rows := []vpcZoneRow{}
		for _, z := range r.cat.zonesOf(vpc, r.region) {
			rows = append(rows, vpcZoneRow{z.code, z.code, z.regionCode, z.description})
		}
		return rowsOf("zoneList", rows), nil
	})
	handle("server", "getZoneList", func(r *request, p *struct{ classicPlace }) (reply, *apiError) {
		code, err := r.place(p.classicPlace)
		if err != nil {
			return reply{}, err
		}
		rows := []zoneRow{}
		for _, z := range r.cat.zonesOf(classic, code) {
			rows = append(rows, zoneRow{z.no, z.code, z.code, z.description, z.regionNo})
		}
		return rowsOf("zoneList", rows), nil
	})

	type imageProducts struct {
		classicPlace
		BlockStorageSize *int64   `p:"blockStorageSize"`
		Exclude          string   `p:"exclusionProductCode"`
		Code             string   `p:"productCode"`
		Platforms        []string `p:"platformTypeCodeList,oneof=LNX32|LNX64|WND32|WND64|UBD64|UBS64"`
		Detail           string   `p:"infraResourceDetailTypeCode,oneof=BM"`
	}
	for _, service := range []string{"server", "vserver"} {
		handle(service, "getServerImageProductList", func(r *request, p *imageProducts) (reply, *apiError) {
			if r.platform == classic {
				if _, err := r.place(p.classicPlace); err != nil {
					return reply{}, err
				}
			}
			rows := []productRow{}
			for _, i := range r.cat.images[r.platform] {
				if p.Detail == "BM" || !wanted(p.Code, i.code) || p.Exclude == i.code || !wantedIn(p.Platforms, platformType(i.code, i.description)) ||
					p.BlockStorageSize != nil && *p.BlockStorageSize != i.diskGB {
					continue
				}
				rows = append(rows, i.row())
			}
			return rowsOf("productList", rows), nil
		})
	}

	type serverProducts struct {
		classicPlace
		ZoneCode    string `p:"zoneCode"`
		Image       string `p:"serverImageProductCode"`
		MemberImage string `p:"memberServerImageInstanceNo"`
		Exclude     string `p:"exclusionProductCode"`
		Code        string `p:"productCode"`
		Generation  string `p:"generationCode,oneof=G1|G2"`
	}
	for _, service := range []string{"server", "vserver"} {
		handle(service, "getServerProductList", func(r *request, p *serverProducts) (reply, *apiError) {
			if r.platform == classic {
				if _, err := r.place(p.classicPlace); err != nil {
					return reply{}, err
				}
			}
			imageCode := p.Image
			if r.platform == vpc && p.MemberImage != "" { // the image instance wins when both are given
				i := r.image(p.MemberImage, "memberServerImageInstance")
				if i == nil {
					return reply{}, errNoSuch("memberServerImageInstanceNo", p.MemberImage)
				}
				imageCode = i.ImageProduct
			}
			if imageCode == "" {
				return reply{}, errMissing("serverImageProductCode")
			}
			img, ok := r.cat.image(r.platform, imageCode)
			if !ok {
				return reply{}, errProduct()
			}
			rows := []productRow{}
			for _, s := range r.cat.serversFor(r.platform, img) {
				if wanted(p.Code, s.code) && p.Exclude != s.code && wanted(p.Generation, s.generation) {
					rows = append(rows, s.row(r.platform))
				}
			}
			return rowsOf("productList", rows), nil
		})
	}

	type newKey struct {
		Name string `p:"keyName,len=3-30"`
	}
	createKey := func(r *request, p *newKey) (string, string, *apiError) {
		name, err := r.newKeyName(p.Name)
		if err != nil {
			return "", "", err
		}
		key, e := rsa.GenerateKey(rand.Reader, 2048)
		if e != nil {
			return "", "", errTryAgain()
		}
		r.addKey(name, &key.PublicKey)
		return name, string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})), nil
	}
	handle("server", "createLoginKey", func(r *request, p *newKey) (reply, *apiError) {
		_, private, err := createKey(r, p)
		return reply{extra: struct {
			PrivateKey string `json:"privateKey"`
		}{private}}, err
	})
	handle("vserver", "createLoginKey", func(r *request, p *newKey) (reply, *apiError) {
		name, private, err := createKey(r, p)
		return reply{extra: struct {
			KeyName    string `json:"keyName"`
			PrivateKey string `json:"privateKey"`
		}{name, private}}, err
	})

	type importKey struct {
		Name   string `p:"keyName,len=3-30"`
		Public string `p:"publicKey,required"`
	}
	type keyList struct {
		paging
		Name string `p:"keyName"`
	}
	for _, service := range []string{"server", "vserver"} {
		handle(service, "importLoginKey", func(r *request, p *importKey) (reply, *apiError) {
			pub, e := parsePublicKey(p.Public)
			if e != nil {
				return reply{}, errInvalid("publicKey: %v", e)
			}
			name, err := r.newKeyName(p.Name)
			if err != nil {
				return reply{}, err
			}
			return rowsOf("loginKeyList", []keyRow{r.addKey(name, pub).row()}), nil
		})
		handle(service, "getLoginKeyList", func(r *request, p *keyList) (reply, *apiError) {
			keys := sorted(r.st.LoginKeys)
			slices.SortStableFunc(keys, func(a, b *loginKey) int { return a.Created.Compare(b.Created) })
			var rows []keyRow
			for _, k := range keys {
				if wanted(p.Name, k.Name) {
					rows = append(rows, k.row())
				}
			}
			return page("loginKeyList", rows, p.paging)
		})
	}
	handle("server", "deleteLoginKey", func(r *request, p *struct {
		Name string `p:"keyName,required"`
	}) (reply, *apiError) {
		return reply{}, r.deleteKeys([]string{p.Name})
	})
	handle("vserver", "deleteLoginKeys", func(r *request, p *struct {
		Names []string `p:"keyNameList,required"`
	}) (reply, *apiError) {
		return reply{}, r.deleteKeys(p.Names)
	})

	type password struct {
		No         string `p:"serverInstanceNo,required"`
		PrivateKey string `p:"privateKey"`
	}
	rootPassword := func(r *request, p *password) (reply, *apiError) {
		s := r.serverNo(p.No)
		if s == nil {
			return reply{}, errServerNo()
		}
		if s.Status == "INIT" || s.Status == "CREAT" {
			if r.platform == classic {
				return reply{}, errTryAgain()
			}
			return reply{}, errServerState()
		}
		pub, err := serverKey(s)
		if err != nil {
			return reply{}, errWrongKey()
		}
		var out string
		if p.PrivateKey == "" {
			// The real one is PKCS #1 v1.5; nobody needs to decrypt this, the call with the key tells the password.
			sealed, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, pub, []byte(s.RootPassword), nil)
			if err != nil {
				return reply{}, errTryAgain()
			}
			out = base64.StdEncoding.EncodeToString(sealed)
		} else {
			private, err := parsePrivateKey(p.PrivateKey)
			if err != nil || !private.PublicKey.Equal(pub) {
				return reply{}, errWrongKey()
			}
			out = s.RootPassword
		}
		return reply{extra: struct {
			TotalRows    int    `json:"totalRows"`
			RootPassword string `json:"rootPassword"`
		}{1, out}}, nil
	}
	handle("server", "getRootPassword", rootPassword)
	handle("vserver", "getRootPassword", func(r *request, p *password) (reply, *apiError) {
		if p.PrivateKey == "" {
			return reply{}, errMissing("privateKey")
		}
		return rootPassword(r, p)
	})
}

type vpcRegionRow struct {
	RegionCode string `json:"regionCode"`
	RegionName string `json:"regionName"`
}

type regionRow struct {
	RegionNo   string `json:"regionNo"`
	RegionCode string `json:"regionCode"`
	RegionName string `json:"regionName"`
}

type vpcZoneRow struct {
	ZoneName        string `json:"zoneName"`
	ZoneCode        string `json:"zoneCode"`
	RegionCode      string `json:"regionCode"`
	ZoneDescription string `json:"zoneDescription"`
}

type zoneRow struct {
	ZoneNo          string `json:"zoneNo"`
	ZoneName        string `json:"zoneName"`
	ZoneCode        string `json:"zoneCode"`
	ZoneDescription string `json:"zoneDescription"`
	RegionNo        string `json:"regionNo"`
}

type productRow struct {
	ProductCode          string `json:"productCode"`
	ProductName          string `json:"productName"`
	ProductType          code   `json:"productType"`
	ProductDescription   string `json:"productDescription"`
	InfraResourceType    code   `json:"infraResourceType"`
	CPUCount             int64  `json:"cpuCount"`
	MemorySize           int64  `json:"memorySize"`
	BaseBlockStorageSize int64  `json:"baseBlockStorageSize"`
	PlatformType         *code  `json:"platformType"`
	OSInformation        string `json:"osInformation"`
	DiskType             *code  `json:"diskType"`
	DBKindCode           string `json:"dbKindCode"`
	AddBlockStorageSize  int64  `json:"addBlockStorageSize"`
	GenerationCode       string `json:"generationCode,omitempty"`
}

func (i imageProduct) row() productRow {
	p := platformType(i.code, i.description)
	row := productRow{ProductCode: i.code, ProductName: i.name, ProductType: named(productType(i.code), productTypes), ProductDescription: i.description,
		InfraResourceType: code{"SW", "Software"}, BaseBlockStorageSize: i.diskGB * gb, PlatformType: &code{p, platformNames[p]}, OSInformation: i.description}
	if strings.Contains(i.description, "MSSQL") {
		row.DBKindCode = "MSSQL"
	}
	return row
}

func (s serverProduct) row(platform string) productRow {
	infra := code{"VSVR", "Server (VPC)"}
	if platform == classic {
		infra = code{"SVR", "Server"}
	}
	return productRow{ProductCode: s.code, ProductName: s.name, ProductType: named(s.typeCode, serverTypes), ProductDescription: s.description, InfraResourceType: infra,
		CPUCount: s.cpu, MemorySize: s.memGB * gb, BaseBlockStorageSize: s.diskGB * gb, DiskType: &netDisk, GenerationCode: s.generation}
}

type keyRow struct {
	Fingerprint string `json:"fingerprint"`
	KeyName     string `json:"keyName"`
	CreateDate  string `json:"createDate"`
}

func (k *loginKey) row() keyRow { return keyRow{k.Fingerprint, k.Name, date(k.Created)} }

// newKeyName checks the name of a new login key, or makes one up (VPC only).
func (r *request) newKeyName(name string) (string, *apiError) {
	if name == "" {
		if r.platform == classic {
			return "", errMissing("keyName")
		}
		name = generatedName("key")
	}
	if r.platform == vpc {
		if err := checkRules("keyName", name, []string{"name"}); err != nil {
			return "", err
		}
	}
	if r.st.LoginKeys[name] != nil {
		return "", errKeyTaken()
	}
	return name, nil
}

func (r *request) addKey(name string, pub *rsa.PublicKey) *loginKey {
	der := x509.MarshalPKCS1PublicKey(pub)
	sum := sha256.Sum256(der)
	hex := make([]string, 16)
	for i := range hex {
		hex[i] = fmt.Sprintf("%02x", sum[i])
	}
	k := &loginKey{Name: name, Public: base64.StdEncoding.EncodeToString(der), Fingerprint: strings.Join(hex, ":"), Created: r.now()}
	r.st.LoginKeys[name] = k
	return k
}

// deleteKeys removes keys, all or none. Servers made with a key keep their password sealed with it.
func (r *request) deleteKeys(names []string) *apiError {
	for _, n := range names {
		if r.st.LoginKeys[n] == nil {
			return errNoKey()
		}
	}
	for _, n := range names {
		delete(r.st.LoginKeys, n)
	}
	return nil
}

func serverKey(s *server) (*rsa.PublicKey, error) {
	der, err := base64.StdEncoding.DecodeString(s.KeyPublic)
	if err != nil {
		return nil, err
	}
	return x509.ParsePKCS1PublicKey(der)
}

// parsePublicKey reads "ssh-rsa AAAA…" or PEM; the API takes RSA only.
func parsePublicKey(text string) (*rsa.PublicKey, error) {
	text = strings.TrimSpace(text)
	var key any
	if block, _ := pem.Decode([]byte(text)); block != nil {
		if k, err := x509.ParsePKCS1PublicKey(block.Bytes); err == nil {
			return k, nil
		}
		k, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("not a public key")
		}
		key = k
	} else {
		k, _, _, _, err := ssh.ParseAuthorizedKey([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("not a public key")
		}
		if ck, ok := k.(ssh.CryptoPublicKey); ok {
			key = ck.CryptoPublicKey()
		}
	}
	if k, ok := key.(*rsa.PublicKey); ok {
		return k, nil
	}
	return nil, fmt.Errorf("not an RSA key")
}

func parsePrivateKey(text string) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, fmt.Errorf("no PEM block")
	}
	if k, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return k, nil
	}
	raw, err := ssh.ParseRawPrivateKey(bytes.TrimSpace([]byte(text)))
	if err != nil {
		return nil, err
	}
	if k, ok := raw.(*rsa.PrivateKey); ok {
		return k, nil
	}
	return nil, fmt.Errorf("not an RSA key")
}

// generatedName is what the API gives to things without a name.
func generatedName(prefix string) string {
	return fmt.Sprintf("%s-%014x", prefix, mathrand.Uint64()&0xffffffffffffff)
}

// newPassword looks like the ones the real cloud hands out.
func newPassword() string {
	const letters = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
	b := make([]byte, 12)
	rand.Read(b)
	for i := range b {
		b[i] = letters[int(b[i])%len(letters)]
	}
	// All kinds of characters that password rules ask for, in fixed places.
	b[0], b[1], b[4], b[9] = 'P', "23456789"[int(b[1])%8], 'f', '='
	return string(b)
}

// classicPlace is embedded in the parameters of Classic calls that name a region or zone by number.
type classicPlace struct {
	RegionNo string `p:"regionNo"`
	ZoneNo   string `p:"zoneNo"`
}

// place returns the region code of a Classic call; without one it is the first region.
func (r *request) place(p classicPlace) (string, *apiError) {
	if p.ZoneNo != "" {
		i := slices.IndexFunc(r.cat.classicZones, func(z zone) bool { return z.no == p.ZoneNo })
		if i < 0 {
			return "", errInvalid("zoneNo [%s] is not valid", p.ZoneNo)
		}
		return r.cat.classicZones[i].regionCode, nil
	}
	if p.RegionNo == "" {
		return r.cat.classicRegions[0].code, nil
	}
	g := r.cat.classicRegion(p.RegionNo)
	if g.no == "" {
		return "", errInvalid("regionNo [%s] is not valid", p.RegionNo)
	}
	return g.code, nil
}

// serverNo finds a server of the call's platform and, on VPC, region. (Classic calls name no region with an id.)
func (r *request) serverNo(no string) *server {
	if s := r.st.Servers[no]; s != nil && r.here(&s.base) {
		return s
	}
	return nil
}

// here tells whether the call can see an object.
func (r *request) here(b *base) bool {
	return b.Platform == r.platform && (r.platform == classic || b.Region == r.region)
}

// image finds an own image of one of the kinds.
func (r *request) image(no string, kinds ...string) *image {
	if i := r.st.Images[no]; i != nil && r.here(&i.base) && slices.Contains(kinds, i.Kind) {
		return i
	}
	return nil
}

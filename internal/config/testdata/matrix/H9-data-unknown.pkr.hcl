data "http" "ip" { url = "https://example.com/ip" }
source "ncloud" "x" {
  server_image_product_code = "SPSW0LINUX000130"
  source_cidrs              = ["${chomp(data.http.ip.body)}/32"]
  server_image_name         = data.http.ip.body
}
build { sources = ["source.ncloud.x"] }

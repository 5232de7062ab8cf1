communicator "ssh" "x" { ssh_username = "u" }
hcp_packer_registry { bucket_name = "b" }
source "ncloud" "x" {
  server_image_product_code = "SPSW0LINUX000130"
}
build {
  sources = ["source.ncloud.x"]
  hcp_packer_registry {}
}

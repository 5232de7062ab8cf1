source "ncloud" "kvm" {
  server_image_number       = 104630229
  server_spec_code          = "s2-g3"
  hypervisor                = "kvm"
  block_storage_size        = 3000
  block_storage_volume_type = "FB1"
  server_image_name         = "web-Server_1x"
  region_code               = "SGN"
  vpc_no                    = "1"
  subnet_no                 = 2
  user_data_file            = "files/init.sh"
  share_with                = ["kim@example.com"]
  source_cidrs              = "203.0.113.7/32"
  site                      = "public"
}

source "ncloud" "classic" {
  access_key                = "the-access"
  secret_key                = "the-secret"
  member_server_image_no    = "4223"
  server_image_product_code = ""
  server_product_code       = "SPSVRSSD00000011"
  server_image_name         = "packer-test {{timestamp}}"
  access_control_group_no   = 4
  region                    = "US-West"
  fee_system_type_code      = "MTRAT"
  block_storage_size        = "10"
}

build {
  sources = ["source.ncloud.kvm", "source.ncloud.classic"]
}
# notes:
# 

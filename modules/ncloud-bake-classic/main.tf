locals {
  own_key = var.login_key_name == null

  # A description is all a public IP can be recognised by, so it begins with the name, and so do the others'.
  description = trimspace("${var.name} ${var.description}")
}

resource "ncloud_login_key" "this" {
  count = local.own_key ? 1 : 0

  key_name = "${var.name}-key"
}

resource "ncloud_server" "this" {
  name           = var.name
  description    = local.description
  zone           = var.zone
  login_key_name = local.own_key ? ncloud_login_key.this[0].key_name : var.login_key_name
  user_data      = var.user_data == "" ? null : var.user_data

  server_image_product_code = var.server_image_product_code
  member_server_image_no    = var.member_server_image_no
  server_product_code       = var.server_product_code
  fee_system_type_code      = var.fee_system_type_code

  # The provider refuses an empty list; null leaves the choice to NCloud.
  access_control_group_configuration_no_list = length(var.access_control_group_configuration_no_list) == 0 ? null : var.access_control_group_configuration_no_list

  lifecycle {
    precondition {
      condition     = (var.server_image_product_code == null) != (var.member_server_image_no == null)
      error_message = "Exactly one of server_image_product_code and member_server_image_no must be given."
    }
  }
}

resource "ncloud_public_ip" "this" {
  count = var.associate_public_ip ? 1 : 0

  server_instance_no = ncloud_server.this.id
  description        = local.description
  zone               = ncloud_server.this.zone
}

# On the way down the storage is detached before the server is touched, and the public IP leaves after it: a server that
# is still busy with one refuses the other. Hence it waits for the public IP on the way up.
resource "ncloud_block_storage" "this" {
  count = var.block_storage_size == null ? 0 : 1

  name               = "${var.name}-disk"
  description        = local.description
  size               = var.block_storage_size
  disk_detail_type   = var.block_storage_volume_type
  server_instance_no = ncloud_server.this.id

  depends_on = [ncloud_public_ip.this]
}

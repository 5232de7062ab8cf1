locals {
  hypervisor = coalesce(var.hypervisor_type, var.server_image_number != null ? "KVM" : "XEN")
  is_kvm     = local.hypervisor == "KVM"

  own_acg = length(var.acg_nos) == 0
  own_key = var.login_key_name == null

  # A description is all a public IP can be recognised by, so it begins with the name, and so do the others'.
  description = trimspace("${var.name} ${var.description}")

  images = compact([var.server_image_number, var.server_image_product_code, var.member_server_image_no])

  anywhere = "0.0.0.0/0"
}

resource "ncloud_login_key" "this" {
  count = local.own_key ? 1 : 0

  key_name = "${var.name}-key"
}

resource "ncloud_access_control_group" "this" {
  count = local.own_acg ? 1 : 0

  name        = "${var.name}-acg"
  description = local.description
  vpc_no      = var.vpc_no

  lifecycle {
    precondition {
      condition     = var.vpc_no != null
      error_message = "vpc_no is needed to make an ACG. Give vpc_no, or existing ACGs in acg_nos."
    }

    precondition {
      condition     = var.port == null || length(var.source_cidrs) > 0
      error_message = "source_cidrs is empty: nobody could reach port ${coalesce(var.port, 0)}. Give the networks that may connect, or port = null to open nothing."
    }

    precondition {
      condition     = var.allow_world || !contains([for c in var.source_cidrs : split("/", c)[1]], "0")
      error_message = "source_cidrs holds 0.0.0.0/0, which opens the server to everyone. Give your own address, or allow_world = true if that is really meant."
    }
  }
}

# All rules of an ACG are in one resource: a second one would overwrite them. Attribute syntax needs every field;
# what does not apply is null.
resource "ncloud_access_control_group_rule" "this" {
  count = local.own_acg ? 1 : 0

  access_control_group_no = ncloud_access_control_group.this[0].id

  inbound = var.port == null ? [] : [for cidr in var.source_cidrs : {
    protocol                       = "TCP"
    port_range                     = tostring(var.port)
    ip_block                       = cidr
    source_access_control_group_no = null
    description                    = null
  }]

  outbound = [for protocol in ["TCP", "UDP", "ICMP"] : {
    protocol                       = protocol
    port_range                     = protocol == "ICMP" ? null : "1-65535"
    ip_block                       = local.anywhere
    source_access_control_group_no = null
    description                    = null
  }]
}

# The network interface is made for the ACG alone: a server without one gets the VPC's default ACG. It must outlive the
# server, which it does because the server refers to it. It waits for the rules because NCloud refuses concurrent
# changes of one ACG (1007009).
resource "ncloud_network_interface" "this" {
  name                  = "${var.name}-nic"
  description           = local.description
  subnet_no             = var.subnet_no
  access_control_groups = local.own_acg ? [ncloud_access_control_group.this[0].id] : var.acg_nos

  depends_on = [ncloud_access_control_group_rule.this]
}

resource "ncloud_init_script" "this" {
  count = var.user_data == null || var.user_data == "" ? 0 : 1

  name        = "${var.name}-init"
  description = local.description
  content     = var.user_data
  os_type     = var.os_type == "windows" ? "WND" : "LNX"
}

resource "ncloud_server" "this" {
  name           = var.name
  description    = local.description
  subnet_no      = var.subnet_no
  login_key_name = local.own_key ? ncloud_login_key.this[0].key_name : var.login_key_name
  init_script_no = one(ncloud_init_script.this[*].id)

  server_image_number       = var.server_image_number
  server_spec_code          = var.server_spec_code
  server_image_product_code = var.server_image_product_code
  member_server_image_no    = var.member_server_image_no
  server_product_code       = var.server_product_code
  fee_system_type_code      = var.fee_system_type_code

  network_interface {
    network_interface_no = ncloud_network_interface.this.id
    order                = 0
  }

  lifecycle {
    precondition {
      condition     = length(local.images) == 1
      error_message = "Exactly one of server_image_number, server_image_product_code and member_server_image_no must be given."
    }

    precondition {
      condition     = !local.is_kvm || (var.server_image_number != null && var.server_spec_code != null && var.server_product_code == null)
      error_message = "A KVM server is made from server_image_number and server_spec_code; product codes and member_server_image_no are for XEN and RHV."
    }

    precondition {
      condition     = var.server_image_number == null || var.server_product_code == null
      error_message = "server_product_code does not go with server_image_number; give server_spec_code."
    }

    precondition {
      condition     = var.server_image_number != null || var.server_spec_code == null
      error_message = "server_spec_code goes with server_image_number only; give server_product_code."
    }
  }
}

resource "ncloud_public_ip" "this" {
  count = var.associate_public_ip ? 1 : 0

  server_instance_no = ncloud_server.this.id
  description        = local.description
}

# On the way down the storage is detached before the server is touched, and the public IP leaves after it: a server that
# is still busy with one refuses the other (1100031). Hence it waits for the public IP on the way up.
resource "ncloud_block_storage" "this" {
  count = var.block_storage_size == null ? 0 : 1

  name               = "${var.name}-disk"
  description        = local.description
  size               = var.block_storage_size
  server_instance_no = ncloud_server.this.id

  # KVM storage is made apart from the server, in the same zone, and then attached; XEN storage is made on the server.
  hypervisor_type  = local.is_kvm ? "KVM" : null
  volume_type      = local.is_kvm ? coalesce(var.block_storage_volume_type, "CB1") : null
  zone             = local.is_kvm ? ncloud_server.this.zone : null
  disk_detail_type = local.is_kvm ? null : var.block_storage_volume_type

  depends_on = [ncloud_public_ip.this]

  lifecycle {
    precondition {
      condition     = var.block_storage_volume_type == null || contains(local.is_kvm ? ["CB1", "FB1", "CB2", "FB2"] : ["SSD", "HDD"], coalesce(var.block_storage_volume_type, "-"))
      error_message = "block_storage_volume_type does not fit the hypervisor: KVM takes CB1, FB1, CB2 or FB2; XEN and RHV take SSD or HDD."
    }

    precondition {
      condition     = local.is_kvm || var.block_storage_size <= 2000
      error_message = "block_storage_size is too large: XEN and RHV take 10 to 2000 GB."
    }
  }
}

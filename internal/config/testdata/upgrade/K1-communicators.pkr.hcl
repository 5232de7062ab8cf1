source "ncloud" "ssh" {
  server_image_product_code = "SPSW0LINUX000130"
}

source "ncloud" "winrm" {
  server_image_product_code = "SPSW0LINUX000130"
  communicator              = "winrm"
  access_control_group_no   = "123"
  winrm_use_ssl             = true
  winrm_insecure            = "true"
}

source "ncloud" "winrm-http" {
  server_image_product_code = "SPSW0LINUX000130"
  communicator              = "winrm"
  support_vpc               = "true"
  winrm_password            = "s3cret"
  winrm_timeout             = "1h"
  winrm_use_ntlm            = true
  winrm_no_proxy            = 1
}

source "ncloud" "none" {
  server_image_product_code = "SPSW0LINUX000130"
  communicator              = "none"
}

source "ncloud" "all-ssh" {
  server_image_product_code    = "SPSW0LINUX000130"
  pause_before_connecting      = "5s"
  ssh_host                     = "h"
  ssh_port                     = "2222"
  ssh_username                 = "ubuntu"
  ssh_password                 = "p"
  ssh_agent_auth               = true
  ssh_wait_timeout             = "7m"
  ssh_pty                      = true
  ssh_disable_agent_forwarding = true
  ssh_keep_alive_interval      = "10s"
  ssh_read_write_timeout       = "1m"
  ssh_clear_authorized_keys    = true
  ssh_file_transfer_method     = "sftp"
  ssh_bastion_host             = "j"
  ssh_bastion_username         = "u"
  ssh_bastion_password         = "bp"
  ssh_local_tunnels            = ["8080:localhost:80"]
  ssh_remote_tunnels           = ["0.0.0.0:3128:proxy:3128"]
  ssh_ciphers                  = ["aes128-ctr"]
  ssh_key_exchange_algorithms  = ["curve25519-sha256"]
  temporary_key_pair_type      = "rsa"
  temporary_key_pair_bits      = 4096
  temporary_key_pair_name      = "k"
}

source "ncloud" "proxy" {
  server_image_product_code = "SPSW0LINUX000130"
  ssh_proxy_host            = "socks"
  ssh_proxy_username        = "pu"
  ssh_proxy_password        = "pp"
  ssh_handshake_attempts    = 3
}

build {
  sources = ["source.ncloud.ssh", "source.ncloud.winrm", "source.ncloud.winrm-http", "source.ncloud.none", "source.ncloud.all-ssh", "source.ncloud.proxy"]
}
# notes:
# 

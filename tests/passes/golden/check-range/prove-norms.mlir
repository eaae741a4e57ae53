// RUN: nitic opt --passes=check-range
// Batch norm of 2^24 values a channel, its gradient, whose sums become int64, and local response normalisation: proved.
// CHECK:       nn.batch_norm_statistics
// CHECK:       nn.bias_grad {{.*}} -> tensor<1xi64>
// CHECK-NEXT:  nn.scale_grad {{.*}} -> tensor<1xi64>
// CHECK-NEXT:  nn.channel_mean {{.*}} (tensor<1xi64>) -> tensor<1xi64>
// CHECK-NEXT:  nn.channel_mean {{.*}} (tensor<1xi64>) -> tensor<1xi64>
// CHECK:       nn.lrn_dgrad {{.*}} -> tensor<2x96xi64>
func.func @train_step(%x: tensor<16777216x1xi16>, %dy: tensor<16777216x1xi8>, %gamma: tensor<1xi8>, %beta: tensor<1xi32>, %e: !bfp.exp, %s: !bfp.exp, %a: tensor<2x96xi8>) -> (tensor<16777216x1xi8>, tensor<2x96xi8>) {
  %m, %v = nn.batch_norm_statistics %x : (tensor<16777216x1xi16>) -> (tensor<1xi32>, tensor<1xi64>)
  %raw = nn.batch_norm_inverse %v, %e epsilon = 0.001 : (tensor<1xi64>, !bfp.exp) -> tensor<1xi64>
  %r = bfp.range %raw : (tensor<1xi64>) -> !bfp.range
  %by = bfp.shift %r bits = 24 : (!bfp.range) -> !bfp.exp
  %i = bfp.round_shift %raw, %by round = nearest to = i32 : (tensor<1xi64>, !bfp.exp) -> tensor<1xi32>
  %xhat = nn.normalise %x, %m, %i, %e, %e : (tensor<16777216x1xi16>, tensor<1xi32>, tensor<1xi32>, !bfp.exp, !bfp.exp) -> tensor<16777216x1xi16>
  %h = bfp.round_shift %xhat, %s round = nearest to = i8 : (tensor<16777216x1xi16>, !bfp.exp) -> tensor<16777216x1xi8>
  %dbeta = nn.bias_grad %dy : (tensor<16777216x1xi8>) -> tensor<1xi32>
  %dgamma = nn.scale_grad %dy, %h : (tensor<16777216x1xi8>, tensor<16777216x1xi8>) -> tensor<1xi32>
  %mean = nn.channel_mean %dbeta count = 16777216 : (tensor<1xi32>) -> tensor<1xi64>
  %slope = nn.channel_mean %dgamma count = 16777216 : (tensor<1xi32>) -> tensor<1xi64>
  %product = nn.channel_product %i, %gamma : (tensor<1xi32>, tensor<1xi8>) -> tensor<1xi64>
  %rp = bfp.range %product : (tensor<1xi64>) -> !bfp.range
  %sp = bfp.shift %rp bits = 15 : (!bfp.range) -> !bfp.exp
  %factor = bfp.round_shift %product, %sp round = nearest to = i32 : (tensor<1xi64>, !bfp.exp) -> tensor<1xi32>
  %dx = nn.batch_norm_dgrad %dy, %h, %factor, %slope, %mean : (tensor<16777216x1xi8>, tensor<16777216x1xi8>, tensor<1xi32>, tensor<1xi64>, tensor<1xi64>) -> tensor<16777216x1xi64>
  %y = bfp.round_shift %dx, %s round = nearest to = i8 : (tensor<16777216x1xi64>, !bfp.exp) -> tensor<16777216x1xi8>
  %da = nn.lrn_dgrad %a, %a, %e, %s alpha = 0.0001 beta = 16.0 bias = 1.0 size = 96 : (tensor<2x96xi8>, tensor<2x96xi8>, !bfp.exp, !bfp.exp) -> tensor<2x96xi32>
  %b = bfp.round_shift %da, %s round = nearest to = i8 : (tensor<2x96xi32>, !bfp.exp) -> tensor<2x96xi8>
  func.return %y, %b : tensor<16777216x1xi8>, tensor<2x96xi8>
}

// RUN: nitic opt --passes=insert-calibration
// The pass reads integer programs.
// ERROR: nn.relu in @train_step still computes in floating point
// ERROR:   note: raised around insert-calibration
func.func @train_step(%x: tensor<2xf32>) -> tensor<2xf32> {
  %y = nn.relu %x : (tensor<2xf32>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

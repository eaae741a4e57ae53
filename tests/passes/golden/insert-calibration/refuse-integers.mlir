// RUN: nitic opt --passes=insert-calibration
// The pass reads programs in floats: which ranges are taken is decided when they become integers.
// ERROR: @predict
// ERROR:   note: raised around insert-calibration
func.func @predict(%acc: tensor<2xi32>, %s: !bfp.exp) -> tensor<2xi8> {
  %y = bfp.round_shift %acc, %s round = nearest to = i8 : (tensor<2xi32>, !bfp.exp) -> tensor<2xi8>
  func.return %y : tensor<2xi8>
}

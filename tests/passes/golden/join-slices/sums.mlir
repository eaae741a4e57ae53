// RUN: nitic opt --passes=join-slices
// Pads among other terms: these keep their order, and the concat comes last. A sum that somebody else reads is a term.
// CHECK:       %[[S:.*]] = nn.add %a, %b
// CHECK-NEXT:  %[[WHOLE:.*]] = nn.concat %left, %right axis = 1
// CHECK-NEXT:  %[[SUM:.*]] = nn.add %[[S]], %[[WHOLE]]
// CHECK-NEXT:  func.return %[[SUM]], %[[S]]
func.func @predict(%a: tensor<2x3xf32> {nn.name = "a", nn.role = "input"}, %b: tensor<2x3xf32> {nn.name = "b", nn.role = "input"}, %left: tensor<2x1xf32> {nn.name = "left", nn.role = "input"}, %right: tensor<2x2xf32> {nn.name = "right", nn.role = "input"}) -> (tensor<2x3xf32> {nn.name = "x", nn.role = "output"}, tensor<2x3xf32> {nn.name = "y", nn.role = "output"}) {
  %r = nn.pad %right after = [0, 0] before = [0, 1] between = [0, 0] : (tensor<2x2xf32>) -> tensor<2x3xf32>
  %l = nn.pad %left after = [0, 2] before = [0, 0] between = [0, 0] : (tensor<2x1xf32>) -> tensor<2x3xf32>
  %s = nn.add %a, %b : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  %t = nn.add %r, %s : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  %u = nn.add %t, %l : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  func.return %u, %s : tensor<2x3xf32>, tensor<2x3xf32>
}

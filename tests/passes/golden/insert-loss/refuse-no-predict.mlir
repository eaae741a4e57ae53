// RUN: nitic opt --passes=insert-loss
// The pass starts from @predict.
// ERROR: the module has no function @predict
func.func @other() -> () {
  func.return
}

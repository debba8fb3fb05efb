from deploying import deploy, on_the_server, project

ORDERS = ["orders.py:load_orders", "--name=declared", "--pool=declared-pool"]

if __name__ == "__main__":
    with project() as folder:
        (folder / "prefect.yaml").unlink()
        batch, region = "--param=batch=100", "--param=region=eu"
        deploy(folder, *ORDERS, batch, region, "--concurrency-limit=1")
        print("In March:", on_the_server())
        deploy(folder, *ORDERS, "--param=batch=500")
        print("In May:  ", on_the_server())
